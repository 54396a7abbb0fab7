// The name of a thing in a list, which leads to the page of that thing.
import { MiddleText } from './middle_text';
import { useNavigate, type Place } from './navigation';
import './button.css';

interface Props {
  name: string;
  to: Place;
  title?: string;
  /** Cut in its middle where there is no room; else it is as wide as it is. */
  cut?: boolean;
}

export function NameLink({ name, to, title, cut = false }: Props) {
  const navigate = useNavigate();
  return (
    <button
      type="button"
      className={cut ? 'imgcls-run-link imgcls-clip' : 'imgcls-run-link'}
      aria-label={cut ? name : undefined}
      title={title}
      onClick={() => navigate(to)}
    >
      {cut ? <MiddleText named text={name} /> : name}
    </button>
  );
}
