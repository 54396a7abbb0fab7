// The extension's own icons: a stack of pictures with a rising curve, in the colours of Lab's side bar.
import { LabIcon } from '@jupyterlab/ui-components';

const svgstr = `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24" fill="none">
  <g class="jp-icon3 jp-icon-selectable" fill="#616161">
    <path d="M7 2h13a2 2 0 0 1 2 2v13h-2V4H7z"/>
    <path fill-rule="evenodd" d="M4 6h12a2 2 0 0 1 2 2v12a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V8a2 2 0 0 1 2-2zm0 2v12h12V8zm1.1 9.9 3.2-4.4 2.4 2.1 3.5-5.1 1.3.9-4.5 6.6-2.4-2.2-2.2 3z"/>
  </g>
</svg>`;

export const labIcon = new LabIcon({ name: 'imgcls-lab:icon', svgstr });

const tensorBoardSvg = `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24" fill="none">
  <path class="jp-icon3 jp-icon-selectable" fill="#616161" fill-rule="evenodd" d="M4 3h16a2 2 0 0 1 2 2v14a2 2 0 0 1-2 2H4a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2zm0 2v14h16V5zm2 11.5V15l3.6-4.3 2.6 2.4L17 7.5l1.4 1.2-6.1 7-2.6-2.4-2.4 3.2z"/>
</svg>`;

/** A frame with a curve in it: TensorBoard. */
export const tensorBoardIcon = new LabIcon({ name: 'imgcls-lab:tensorboard', svgstr: tensorBoardSvg });
