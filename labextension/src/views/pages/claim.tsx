// What a run from elsewhere would execute, and the button that makes it the user's own. Opened from its head.
import { Fragment } from 'react';
import { useAction, useQuery } from '../data/use_query';
import { InlineForm } from '../forms/inline_form';
import { useSource } from '../data/source';
import type { Claim, RunDetail } from '../data/types';
import '../forms/fields.css';
import './claim.css';

interface Props {
  run: RunDetail;
  onClaimed: () => void;
  onCancel: () => void;
}

const Facts = ({ claim }: { claim: Claim }) => {
  const files = [...claim.plugins, ...(claim.notebook ? [claim.notebook] : [])];
  const facts: [string, string][] = [
    ['Folder', claim.folder],
    ...files.map((file): [string, string] => [
      'Code',
      `${file.path} (SHA-256 ${file.sha256.slice(0, 16) || 'unreadable'})`,
    ]),
    ...(claim.notebook_folder ? [['Works in', claim.notebook_folder] as [string, string]] : []),
    ...(Object.keys(claim.parameters).length
      ? [['Parameters', JSON.stringify(claim.parameters)] as [string, string]]
      : []),
    ['Python', claim.python],
    ...(claim.root ? [['Data', claim.root] as [string, string]] : []),
    ...(claim.model_flavour ? [['Model', claim.model_flavour] as [string, string]] : []),
  ];
  return (
    <dl className="imgcls-claim">
      {facts.map(([name, value], index) => (
        <Fragment key={index}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </Fragment>
      ))}
    </dl>
  );
};

export function ClaimForm({ run, onClaimed, onCancel }: Props) {
  const source = useSource();
  const { data: claim, error: unread } = useQuery('claim', { id: run.id });
  const { busy, error, act } = useAction();
  const confirm = async () => {
    if (claim && (await act('claim', () => source.command('claim', { id: run.id, digest: claim.digest }))))
      onClaimed();
  };
  return (
    <InlineForm
      label="Claim this run"
      action="This is mine"
      busy={busy !== null}
      ready={claim !== undefined}
      error={error ?? unread}
      onSubmit={() => void confirm()}
      onCancel={onCancel}
    >
      <p className="imgcls-hint">
        This run&apos;s folder came from elsewhere. Nothing of it is executed until you say that it is yours;
        then a resume executes what stands here. Claiming starts nothing.
      </p>
      {claim && <Facts claim={claim} />}
    </InlineForm>
  );
}
