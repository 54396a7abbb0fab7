// What is said where nothing starts runs, or something is wrong with what does, with the button that helps.
import { useSource } from '../data/source';
import type { DevicesReply } from '../data/types';
import { useAction } from '../data/use_query';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import { useNavigate } from '../ui/navigation';
import { Sentence } from '../ui/sentence';

export const isAlive = ({ executors }: DevicesReply): boolean =>
  executors.some(executor => executor.here && executor.state === 'alive');
const isSuspended = ({ executors }: DevicesReply): boolean =>
  executors.some(executor => executor.here && executor.state === 'suspended');

/** What stands in the panel: the page of the devices says what, and what is done about it. */
function Plain({ gone }: { gone: boolean }) {
  const navigate = useNavigate();
  if (gone) return 'Nothing starts queued runs at the moment.';
  return (
    <>
      The queue does not run as it should.{' '}
      <button type="button" className="imgcls-plain" onClick={() => navigate({ view: 'devices' })}>
        See why
      </button>
    </>
  );
}

/** `plain`: without what only the page of the devices explains. Nothing where all is well. */
export function NoExecutor({ reply, plain }: { reply: DevicesReply; plain?: boolean }) {
  const source = useSource();
  const { busy, error, act } = useAction();
  if (!reply.message) return null;
  const gone = !isAlive(reply) && !isSuspended(reply);
  return (
    <>
      <p className="imgcls-note">{plain ? <Plain gone={gone} /> : <Sentence text={reply.message} />}</p>
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
