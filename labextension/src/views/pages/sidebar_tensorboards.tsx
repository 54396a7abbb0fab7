// The TensorBoards of the panel: how the process of each stands, and its buttons.
import { useTensorBoardAction, useTensorBoards } from '../data/use_tensorboards';
import { ago, bytes } from '../ui/format';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { Section } from './sidebar_section';
import '../ui/button.css';
import './sidebar_tensorboards.css';

/** Nothing where there are none. */
export function TensorBoards({ now }: { now: number }) {
  const boards = useTensorBoards();
  const navigate = useNavigate();
  const { busy, error, press } = useTensorBoardAction();
  if (boards.length === 0) return null;
  const running = boards.filter(board => board.state === 'running').length;
  return (
    <Section title="TensorBoards" aside={running ? `${running} running` : ''}>
      {boards.map(board => (
        <div key={board.id} className="imgcls-row" data-board={board.id} data-board-state={board.state}>
          <span className="imgcls-line">
            <button
              type="button"
              className="imgcls-run-link imgcls-clip"
              title={`Open TensorBoard of ${board.title}`}
              onClick={() => navigate({ view: 'tensorboard', id: board.id })}
            >
              {board.title}
            </button>
            <span className="imgcls-muted imgcls-num">
              {[
                board.state,
                board.memory != null && bytes(board.memory),
                board.started_at != null && ago(board.started_at, now),
              ]
                .filter(Boolean)
                .join(' · ')}
            </span>
          </span>
          {board.message && <span className="imgcls-note">{board.message}</span>}
          <span className="imgcls-board-buttons">
            {board.state === 'running' && (
              <button
                type="button"
                className="imgcls-plain"
                disabled={busy !== null}
                onClick={() => void press('stop', board.id)}
              >
                stop
              </button>
            )}
            <button
              type="button"
              className="imgcls-plain"
              disabled={busy !== null}
              onClick={() => void press('restart', board.id)}
            >
              {board.state === 'running' ? 'restart' : 'start'}
            </button>
            <button
              type="button"
              className="imgcls-plain"
              title="Take it off this list; the runs stay"
              disabled={busy !== null}
              onClick={() => void press('delete', board.id)}
            >
              forget
            </button>
          </span>
        </div>
      ))}
      {error && (
        <div className="imgcls-row">
          <Problem>{error}</Problem>
        </div>
      )}
    </Section>
  );
}
