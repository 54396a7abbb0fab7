// What an audit found, as cards of images. Each correction goes into the draft of the next revision.
import type { DraftRevision } from '../data/draft_revision';
import type { Audit, Dataset, Problem } from '../data/types';
import { AuditPanel } from './audit_panel';
import { FilesCard, ImagesCard } from './problem_images';
import { GroupsCard } from './problem_groups';
import { LabelErrorsCard } from './problem_labels';
import '../ui/layout.css';
import './problem_card.css';

const QUALITY: Problem['kind'][] = [
  'dark',
  'bright',
  'blurred',
  'low_information',
  'odd_size',
  'odd_shape',
  'greyscale',
];
const GROUPS: [kind: Problem['kind'], across: string, within: string][] = [
  ['copy', 'Copies across splits', 'Copies within a split'],
  ['look_alike', 'Look-alikes across splits', 'Look-alikes within a split'],
  ['near_duplicate', 'Much alike to the model, across splits', 'Much alike to the model'],
];

interface Props {
  dataset: Dataset;
  audit: Audit;
  draft: DraftRevision;
}

/** The kind was looked for and found. */
const found = (audit: Audit, kind: Problem['kind']): boolean => (audit.counts[kind] ?? 0) > 0;

export function DatasetProblems({ dataset, audit, draft }: Props) {
  const shared = { dataset, audit, draft };
  const total = Object.values(audit.counts).reduce((sum, n) => sum + n, 0);
  const groups = GROUPS.filter(([kind]) => found(audit, kind));
  const card = (leak: boolean) =>
    groups.map(([kind, across, within]) => (
      <GroupsCard key={kind} {...shared} {...{ kind, leak }} title={leak ? across : within} />
    ));
  return (
    <div className="imgcls-stack">
      <AuditPanel {...{ dataset, audit }} />
      {audit.state === 'succeeded' && total === 0 && (
        <p className="imgcls-muted">The audit found no problem.</p>
      )}
      <div className="imgcls-problem-cards">
        {card(true)}
        {found(audit, 'label_error') && <LabelErrorsCard {...shared} />}
        {found(audit, 'unreadable') && (
          <FilesCard
            {...shared}
            title="Unreadable"
            kind="unreadable"
            foot="They are left out of every run until they are replaced."
          />
        )}
        {found(audit, 'not_taken') && (
          <FilesCard
            {...shared}
            title="Not taken"
            kind="not_taken"
            foot="These files are in the folder, and no run takes them for images."
          />
        )}
        {card(false)}
        <ImagesCard {...shared} title="Dark, blurred, odd" kinds={QUALITY} />
        <ImagesCard {...shared} title="Outliers" kinds={['outlier']} />
      </div>
    </div>
  );
}
