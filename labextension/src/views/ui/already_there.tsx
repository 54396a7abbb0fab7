// That the same request had made this run before, so that nothing was queued; and the way to it.
import type { Run } from '../data/types';
import { NameLink } from './name_link';
import { State, StatusText } from './run_state';

export const AlreadyThere = ({ run }: { run: Run }) => (
  <p role="status">
    It is there already: <NameLink name={run.name} to={{ view: 'run', id: run.id }} />,{' '}
    <State state={run.state} unreachable={run.unreachable} />, <StatusText run={run} />. Nothing was queued.
  </p>
);
