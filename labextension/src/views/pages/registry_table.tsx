// The items of a registry, each with its buttons.
import { Fragment, useState } from 'react';
import { mutate } from '../data/mutate';
import type { RegistryName } from '../data/asked';
import { useSource } from '../data/source';
import type { Model, Project } from '../data/types';
import type { useAction } from '../data/use_query';
import { ExportModel } from '../forms/export_model';
import { Button } from '../ui/button';
import { ConfirmButton } from '../ui/confirm_button';
import { useNavigate } from '../ui/navigation';
import { belongsTo } from './owner';
import { ProjectMembers } from './project_members';
import { ItemForm } from './registry_item_form';
import { KINDS, type Item, type RegistryKind } from './registry_kinds';
import { NameLink } from '../ui/name_link';
import '../ui/layout.css';
import '../ui/table.css';
import './registry_table.css';

type Action = ReturnType<typeof useAction>;

interface RowProps {
  registry: RegistryName;
  item: Item;
  action: Action;
  onEdit: () => void;
  /** Write it for other programs; of models alone. */
  onExport?: () => void;
}

/** The view of an item's page, where it has one. */
const PAGES: Partial<Record<RegistryName, 'dataset' | 'config' | 'project'>> = {
  datasets: 'dataset',
  configs: 'config',
  projects: 'project',
};

/** Whether the reader may delete it: of a project, its members may not. */
const mayDelete = (item: Item): boolean =>
  'may_manage' in item ? item.may_manage === true : item.may_change;

function Buttons({ registry, item, action: { busy, act }, onEdit, onExport }: RowProps) {
  const source = useSource();
  const navigate = useNavigate();
  const [remove, rescan] = [`delete ${item.id}`, `rescan ${item.id}`];
  const keepsFiles = registry === 'datasets' || registry === 'models';
  return (
    <div className="imgcls-buttons imgcls-row-buttons">
      {registry === 'projects' && (
        <Button onClick={() => navigate({ view: 'tensorboard', project_id: item.id })}>TensorBoard</Button>
      )}
      {registry === 'configs' && (
        <Button onClick={() => navigate({ view: 'new-run', config: item.id })}>New run…</Button>
      )}
      {registry === 'datasets' && item.may_change && (
        <Button
          busy={busy === rescan}
          title="Look at the folder again: classes, images, what is wrong"
          onClick={() => void act(rescan, () => mutate(source, 'datasets.rescan', { id: item.id }))}
        >
          Rescan
        </Button>
      )}
      {onExport && (
        <Button title="Write it to a folder for other programs, checked on real images" onClick={onExport}>
          Export…
        </Button>
      )}
      {item.may_change && <Button onClick={onEdit}>Edit…</Button>}
      {mayDelete(item) && (
        <ConfirmButton
          label="Delete…"
          question={keepsFiles ? 'Forget it? Its files stay.' : `Delete this ${KINDS[registry].one}?`}
          busy={busy === remove}
          onConfirm={() => void act(remove, () => mutate(source, `${registry}.delete`, { id: item.id }))}
        />
      )}
      {!item.may_change && (
        <span className="imgcls-muted" title={belongsTo(item.owner)}>
          of {item.owner}
        </span>
      )}
    </div>
  );
}

/** The members of a project below its name; its owner opens their form by it. */
function Members({ project }: { project: Project }) {
  const [open, setOpen] = useState(false);
  const names = project.members.join(', ');
  if (open) return <ProjectMembers project={project} onDone={() => setOpen(false)} />;
  return (
    <div className="imgcls-muted">
      {names && `members: ${names} `}
      {project.may_manage && project.owner && (
        <button type="button" className="imgcls-plain" onClick={() => setOpen(true)}>
          Members…
        </button>
      )}
    </div>
  );
}

type KindRow = RowProps & { kind: RegistryKind<RegistryName>; owners: boolean };

function Row(props: KindRow) {
  const { registry, kind, item, owners } = props;
  const [exporting, setExporting] = useState(false);
  const model = registry === 'models' ? (item as unknown as Model) : null;
  const hasWeights = model?.facts.parameters != null && !model.problem;
  const across = kind.columns.length + 2 + Number(owners);
  const problem = kind.problem?.(item);
  const notes = kind.notes?.(item) ?? [];
  return (
    <>
      <tr data-name={item.name} className={notes.length ? 'imgcls-noted' : undefined}>
        <td className="imgcls-left imgcls-said">
          {PAGES[registry] ? (
            <NameLink name={item.name} to={{ view: PAGES[registry]!, id: item.id }} />
          ) : (
            <b>{item.name}</b>
          )}
          {typeof item.description === 'string' && item.description && (
            <div className="imgcls-muted">{item.description}</div>
          )}
          {registry === 'projects' && <Members project={item as unknown as Project} />}
          {problem && <div className="imgcls-problem">{problem}</div>}
        </td>
        {owners && <td className="imgcls-left">{item.owner || '–'}</td>}
        {kind.columns.map(([title, show, left]) => (
          <td key={title} data-column={title} className={left ? 'imgcls-left imgcls-wrap' : 'imgcls-nowrap'}>
            {show(item)}
          </td>
        ))}
        <td>
          <Buttons {...props} onExport={hasWeights ? () => setExporting(true) : undefined} />
        </td>
      </tr>
      {model && exporting && (
        <tr>
          <td colSpan={across} className="imgcls-left">
            <ExportModel
              target={{ model_id: model.id }}
              title={model.name}
              hasImages={model.made_by !== null}
              onClose={() => setExporting(false)}
            />
          </td>
        </tr>
      )}
      {notes.length > 0 && (
        <tr>
          <td colSpan={across} className="imgcls-left">
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
  const owners = new Set(items.map(item => item.owner).filter(Boolean)).size > 1;
  return (
    <div className="imgcls-scroll imgcls-registry">
      <table className="imgcls-table">
        <thead>
          <tr>
            <th className="imgcls-left">name</th>
            {owners && <th className="imgcls-left">owner</th>}
            {kind.columns.map(([title, , left]) => (
              <th key={title} data-column={title} className={left ? 'imgcls-left' : undefined}>
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
                  <td colSpan={kind.columns.length + 2 + Number(owners)} className="imgcls-left">
                    <ItemForm registry={registry} item={item} onDone={close} onCancel={close} />
                  </td>
                </tr>
              ) : (
                <Row {...{ registry, kind, item, action, owners }} onEdit={() => onEdit(item.id)} />
              )}
            </Fragment>
          ))}
        </tbody>
      </table>
    </div>
  );
}
