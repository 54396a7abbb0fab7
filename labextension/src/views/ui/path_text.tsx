// A path or a hub id, which breaks between its parts and not inside a word.
import { Fragment } from 'react';
import './path_text.css';

const ENDS = 2; // parts that tell a file or folder from others

/** `short`: of a path on this machine its end alone; the whole of it where the pointer is. */
export const PathText = ({ path, short = false }: { path: string; short?: boolean }) => (
  <span className="imgcls-mono imgcls-path" title={path}>
    {(short ? endOf(path) : path).split('/').map((part, place) => (
      <Fragment key={place}>
        {place > 0 && '/'}
        {place > 0 && <wbr />}
        {part}
      </Fragment>
    ))}
  </span>
);

function endOf(path: string): string {
  const parts = path.split('/');
  return path.startsWith('/') && parts.length > ENDS + 2 ? `…/${parts.slice(-ENDS).join('/')}` : path;
}
