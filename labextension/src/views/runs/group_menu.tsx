// What the table folds to one row.
import type { GroupKind } from '../data/run_rows';
import { Popover } from '../ui/popover';
import './filter_menu.css';

const KINDS: [GroupKind, string, string][] = [
  ['sweep', 'sweep', 'the trials of a sweep'],
  ['seeds', 'seeds', 'runs that differ in their seeds alone'],
  ['children', 'children', 'runs that went on from another one'],
];

interface Props {
  group: readonly GroupKind[];
  onChange: (group: readonly GroupKind[]) => void;
}

export function GroupMenu({ group, onChange }: Props) {
  const names = KINDS.filter(([kind]) => group.includes(kind)).map(([, name]) => name);
  return (
    <Popover end label={`group: ${names.join(', ') || 'none'}`} title="What is folded to one row">
      {() => (
        <div className="imgcls-filter-some">
          {KINDS.map(([kind, , text]) => (
            <label key={kind}>
              <input
                type="checkbox"
                checked={group.includes(kind)}
                onChange={event =>
                  onChange(
                    KINDS.map(([each]) => each).filter(each =>
                      each === kind ? event.target.checked : group.includes(each),
                    ),
                  )
                }
              />
              {text}
            </label>
          ))}
        </div>
      )}
    </Popover>
  );
}
