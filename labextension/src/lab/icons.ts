// The extension's own icon: a stack of pictures with a rising curve, in the colours of Lab's side bar.
import { LabIcon } from '@jupyterlab/ui-components';

const svgstr = `<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24" viewBox="0 0 24 24" fill="none">
  <g class="jp-icon3 jp-icon-selectable" fill="#616161">
    <path d="M7 2h13a2 2 0 0 1 2 2v13h-2V4H7z"/>
    <path fill-rule="evenodd" d="M4 6h12a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2zm0 2v12h12V8zm1.1 9.9 3.2-4.4 2.4 2.1 3.5-5.1 1.3.9-4.5 6.6-2.4-2.2-2.2 3z"/>
  </g>
</svg>`;

export const labIcon = new LabIcon({ name: 'imgcls-lab:icon', svgstr });
