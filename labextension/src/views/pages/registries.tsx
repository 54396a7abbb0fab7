// The page of the registries: data sets, models, configs and projects, each in a tab.
import { useState } from 'react';
import { REGISTRIES } from '../data/mutate';
import type { RegistryName } from '../data/asked';
import type { Dataset, Project } from '../data/types';
import { useAction, useQuery } from '../data/use_query';
import { AddModel } from '../forms/add_model';
import { RegisterFolder } from '../forms/register_dataset';
import { Button } from '../ui/button';
import { plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { Tabs } from '../ui/tabs';
import { ProjectImport } from './project_import';
import { ItemForm } from './registry_item_form';
import { KINDS, type Item } from './registry_kinds';
import { RegistryTable } from './registry_table';
import '../ui/inputs.css';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './registries.css';

function NewItem({ registry, onClose }: { registry: RegistryName; onClose: () => void }) {
  const navigate = useNavigate();
  const show = ({ id }: Dataset) => {
    onClose();
    navigate({ view: 'dataset', id, tab: 'Problems' }); // its audit has begun
  };
  if (registry === 'datasets') return <RegisterFolder onDone={show} onCancel={onClose} />;
  if (registry === 'models') return <AddModel onDone={onClose} onCancel={onClose} />;
  return <ItemForm registry={registry} item={null} onDone={onClose} onCancel={onClose} />;
}

function Registry({ registry }: { registry: RegistryName }) {
  const { one, add, empty } = KINDS[registry];
  const { data, error } = useQuery(registry, {});
  const [editing, setEditing] = useState<number | 'new' | null>(null);
  const [importing, setImporting] = useState(false);
  const action = useAction();
  const items = data as Item[] | undefined;
  return (
    <div className="imgcls-stack">
      <div className="imgcls-filters">
        <p className="imgcls-muted">
          {items?.length === 0 ? empty : items ? plural(items.length, one) : 'Reading the list…'}
        </p>
        <span className="imgcls-spacer" />
        {registry === 'projects' && (
          <Button aria-expanded={importing} onClick={() => setImporting(!importing)}>
            Import…
          </Button>
        )}
        <Button primary disabled={editing === 'new'} onClick={() => setEditing('new')}>
          {add}
        </Button>
      </div>
      <Problem>{error ?? action.error}</Problem>
      {importing && <ProjectImport projects={(data as Project[] | undefined) ?? []} />}
      {editing === 'new' && <NewItem registry={registry} onClose={() => setEditing(null)} />}
      {items && items.length > 0 && (
        <RegistryTable
          {...{ registry, items, action }}
          editing={editing === 'new' ? null : editing}
          onEdit={setEditing}
        />
      )}
    </div>
  );
}

export function RegistriesPage({ registry = 'datasets' }: { registry?: RegistryName }) {
  const [open, setOpen] = useState<RegistryName>(registry);
  return (
    <article className="imgcls-page">
      <header className="imgcls-page-head">
        <h1>Registries</h1>
      </header>
      <Tabs
        label="Registries"
        names={REGISTRIES}
        open={open}
        onOpen={setOpen}
        title={name => KINDS[name].title}
        listClass="imgcls-page-tabs"
      >
        <Registry key={open} registry={open} />
      </Tabs>
    </article>
  );
}
