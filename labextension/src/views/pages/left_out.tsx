// Images that could not be read and count in no metric: how many, and why each.
import { count, plural } from '../ui/format';
import './left_out.css';

const SHOWN = 200;

export function LeftOut({ reasons, where = '' }: { reasons: Record<string, string>; where?: string }) {
  const paths = Object.entries(reasons);
  if (paths.length === 0) return null;
  return (
    <details className="imgcls-left-out">
      <summary>
        {plural(paths.length, 'image')}
        {where} could not be read and {paths.length === 1 ? 'is' : 'are'} left out
      </summary>
      <ul className="imgcls-note">
        {paths.slice(0, SHOWN).map(([path, reason]) => (
          <li key={path} title={path}>
            {reason}
          </li>
        ))}
        {paths.length > SHOWN && <li>and {count(paths.length - SHOWN)} more, all in manifest.json</li>}
      </ul>
    </details>
  );
}
