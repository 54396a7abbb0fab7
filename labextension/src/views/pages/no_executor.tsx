// What is said where nothing starts runs, or something is wrong with what does, with the button that helps.
import { useSource } from '../data/source';
import type { DevicesReply } from '../data/types';
import { useAction } from '../data/use_query';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';

export const isAlive = ({ executors }: DevicesReply): boolean =>
  executors.some(executor => executor.here && executor.state === 'alive');
const isSuspended = ({ executors }: DevicesReply): boolean =>
  executors.some(executor => executor.here && executor.state === 'suspended');

/** `plain`: without what only the page of the devices explains. Nothing where all is well. */
export function NoExecutor({ reply, plain }: { reply: DevicesReply; plain?: boolean }) {
  const source = useSource();
  const { busy, error, act } = useAction();
  if (!reply.message) return null;
  const gone = !isAlive(reply) && !isSuspended(reply);
  const text = !plain || isAlive(reply) ? reply.message : 'Nothing starts queued runs at the moment.';
  return (
    <>
      <p className="imgcls-note">{text}</p>
      {gone && (
        <div>
          <Button
            busy={busy !== null}
            onClick={() => void act('start', () => source.command('executor.start', {}))}
          >
            {busy ? 'Starting…' : plain ? 'Start the queue' : 'Start the executor'}
          </Button>
        </div>
      )}
      <Problem>{error}</Problem>
    </>
  );
}
