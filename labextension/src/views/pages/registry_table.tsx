// The items of a registry, each with its buttons.
import { Fragment } from 'react';
import { mutate } from '../data/mutate';
import { useSource, type RegistryName } from '../data/source';
import type { useAction } from '../data/use_query';
import { Button } from '../ui/button';
import { ConfirmButton } from '../ui/confirm_button';
import { useNavigate } from '../ui/navigation';
import { ItemForm } from './registry_item_form';
import { KINDS, type Item, type RegistryKind } from './registry_kinds';
import '../ui/layout.css';
import '../ui/table.css';
import './registry_table.css';

type Action = ReturnType<typeof useAction>;

interface RowProps {
  registry: RegistryName;
  item: Item;
  action: Action;
  onEdit: () => void;
}

function Buttons({ registry, item, action: { busy, act }, onEdit }: RowProps) {
  const source = useSource();
  const navigate = useNavigate();
  const [remove, rescan] = [`delete ${item.id}`, `rescan ${item.id}`];
  const keepsFiles = registry === 'datasets' || registry === 'models';
  return (
    <div className="imgcls-buttons imgcls-row-buttons">
      {registry === 'projects' && (
        <Button onClick={() => navigate({ view: 'tensorboard', project_id: item.id })}>TensorBoard</Button>
      )}
      {registry === 'datasets' && (
        <Button
          busy={busy === rescan}
          title="Look at the folder again: classes, images, what is wrong"
          onClick={() => void act(rescan, () => mutate(source, 'datasets.rescan', { id: item.id }))}
        >
          Rescan
        </Button>
      )}
      <Button onClick={onEdit}>Edit</Button>
      <ConfirmButton
        label="Delete…"
        question={keepsFiles ? 'Forget it? Its files stay.' : `Delete this ${KINDS[registry].one}?`}
        busy={busy === remove}
        onConfirm={() => void act(remove, () => mutate(source, `${registry}.delete`, { id: item.id }))}
      />
    </div>
  );
}

function Row(props: RowProps & { kind: RegistryKind<RegistryName> }) {
  const { kind, item } = props;
  const problem = kind.problem?.(item);
  const notes = kind.notes?.(item) ?? [];
  return (
    <>
      <tr data-name={item.name} className={notes.length ? 'imgcls-noted' : undefined}>
        <td className="imgcls-left imgcls-said">
          <b>{item.name}</b>
          {typeof item.description === 'string' && item.description && (
            <div className="imgcls-muted">{item.description}</div>
          )}
          {problem && <div className="imgcls-problem">{problem}</div>}
        </td>
        {kind.columns.map(([title, show, left]) => (
          <td key={title} className={left ? 'imgcls-left imgcls-wrap' : 'imgcls-nowrap'}>
            {show(item)}
          </td>
        ))}
        <td>
          <Buttons {...props} />
        </td>
      </tr>
      {notes.length > 0 && (
        <tr>
          <td colSpan={kind.columns.length + 2} className="imgcls-left">
            {notes.map(note => (
              <div key={note} className="imgcls-note">
                {note}
              </div>
            ))}
          </td>
        </tr>
      )}
    </>
  );
}

interface Props {
  registry: RegistryName;
  items: Item[];
  action: Action;
  /** Id of the item whose form is open. */
  editing: number | null;
  onEdit: (id: number | null) => void;
}

export function RegistryTable({ registry, items, action, editing, onEdit }: Props) {
  const kind = KINDS[registry] as unknown as RegistryKind<RegistryName>;
  const close = () => onEdit(null);
  return (
    <div className="imgcls-scroll">
      <table className="imgcls-table">
        <thead>
          <tr>
            <th className="imgcls-left">name</th>
            {kind.columns.map(([title, , left]) => (
              <th key={title} className={left ? 'imgcls-left' : undefined}>
                {title}
              </th>
            ))}
            <th aria-label="Actions" />
          </tr>
        </thead>
        <tbody>
          {items.map(item => (
            <Fragment key={item.id}>
              {editing === item.id ? (
                <tr>
                  <td colSpan={kind.columns.length + 2} className="imgcls-left">
                    <ItemForm registry={registry} item={item} onDone={close} onCancel={close} />
                  </td>
                </tr>
              ) : (
                <Row {...{ registry, kind, item, action }} onEdit={() => onEdit(item.id)} />
              )}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}
