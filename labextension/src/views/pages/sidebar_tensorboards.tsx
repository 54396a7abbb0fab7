// The TensorBoards of the panel: how the process of each stands, and its buttons.
import type { Board } from '../data/types';
import { useTensorBoardAction, useTensorBoards } from '../data/use_tensorboards';
import { ago, bytes } from '../ui/format';
import { Problem } from '../ui/messages';
import { Section } from './sidebar_section';
import { NameLink } from '../ui/name_link';
import '../ui/button.css';
import './sidebar_section.css';
import './sidebar_tensorboards.css';

interface RowProps {
  board: Board;
  now: number;
  action: ReturnType<typeof useTensorBoardAction>;
}

function Buttons({ board: { id, state }, action: { busy, press } }: Omit<RowProps, 'now'>) {
  const shared = { type: 'button', className: 'imgcls-plain', disabled: busy !== null } as const;
  const running = state === 'running';
  return (
    <span className="imgcls-board-buttons">
      {running && (
        <button {...shared} onClick={() => void press('stop', id)}>
          stop
        </button>
      )}
      <button {...shared} onClick={() => void press('restart', id)}>
        {running ? 'restart' : 'start'}
      </button>
      <button
        {...shared}
        title="Take it off this list; the runs stay"
        onClick={() => void press('delete', id)}
      >
        forget
      </button>
    </span>
  );
}

function Row({ board, now, action }: RowProps) {
  const { id, title, state, memory, started_at, message } = board;
  const facts = [state, memory != null && bytes(memory), started_at != null && ago(started_at, now)];
  return (
    <div className="imgcls-row" data-board={id} data-board-state={state}>
      <span className="imgcls-line">
        <NameLink cut name={title} title={`Open TensorBoard of ${title}`} to={{ view: 'tensorboard', id }} />
        <span className="imgcls-muted imgcls-num">{facts.filter(Boolean).join(' · ')}</span>
      </span>
      {message && <span className="imgcls-note">{message}</span>}
      <Buttons board={board} action={action} />
    </div>
  );
}

/** Nothing where there are none. */
export function TensorBoards({ now }: { now: number }) {
  const boards = useTensorBoards();
  const action = useTensorBoardAction();
  if (boards.length === 0) return null;
  const running = boards.filter(board => board.state === 'running').length;
  return (
    <Section title="TensorBoards" aside={running ? `${running} running` : ''}>
      {boards.map(board => (
        <Row key={board.id} {...{ board, now, action }} />
      ))}
      {action.error && (
        <div className="imgcls-row">
          <Problem>{action.error}</Problem>
        </div>
      )}
    </Section>
  );
}
