// A path or a hub id, which breaks between its parts and not inside a word.
import { Fragment } from 'react';
import './path_text.css';

export const PathText = ({ path }: { path: string }) => (
  <span className="imgcls-mono imgcls-path" title={path}>
    {path.split('/').map((part, place) => (
      <Fragment key={place}>
        {place > 0 && '/'}
        {place > 0 && <wbr />}
        {part}
      </Fragment>
    ))}
  </span>
);
