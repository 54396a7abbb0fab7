import { describe, expect, it, vi } from 'vitest';
import { notify } from '../../src/lab/notifications';
import type { Alert } from '../../src/views/data/types';
import type { Preferences } from '../../src/views/ui/preferences';
import { FakeSource } from '../fake';

const alert = (part: Partial<Alert> = {}): Alert => ({
  id: 'a-1-end',
  kind: 'failed',
  text: '“a” failed: no reason',
  run_id: 'r1',
  host: 'here',
  created_at: 1000,
  ...part,
});

const trans = { __: (text: string) => text } as never;

function listening(answers: Record<string, () => unknown>, level: Preferences['notifications'] = 'ends') {
  const source = new FakeSource(answers);
  const emit = vi.fn();
  const open = vi.fn();
  notify(source, trans, () => level, open, emit, new AbortController().signal);
  return { source, emit, open, topic: source.on('alerts') };
}

describe('notifications', () => {
  it('tell each alert once, and nothing that was there before the page', async () => {
    let there = [alert({ id: 'old' })];
    const { source, emit, open, topic } = listening({ alerts: () => there });
    await vi.waitFor(() => expect(source.asked).toHaveLength(1));
    topic.push({ kind: 'alerts', alerts: [alert({ id: 'old' }), alert(), alert()] });
    expect(emit).toHaveBeenCalledTimes(1);
    expect(emit.mock.calls[0]?.slice(0, 2)).toEqual(['“a” failed: no reason', 'error']);
    expect(emit.mock.calls[0]?.[2].autoClose).toBeGreaterThan(0); // it goes from the screen by itself
    emit.mock.calls[0]?.[2].actions[0].callback();
    expect(open).toHaveBeenCalledWith('r1');

    there = [alert({ id: 'missed', kind: 'disk', run_id: null }), alert(), alert({ id: 'old' })];
    topic.connection('live'); // again, after a broken connection
    await vi.waitFor(() => expect(emit).toHaveBeenCalledTimes(2));
    expect(emit.mock.calls[1]?.[2].actions).toEqual([]);
  });

  it('tell the end of a sweep, and not that of each trial; nor what was put away elsewhere', async () => {
    const { source, emit, topic } = listening({ alerts: () => [] });
    await vi.waitFor(() => expect(source.asked).toHaveLength(1));
    const trials = [1, 2, 3].map(n => alert({ id: `t${n}`, sweep_id: 's', sweep_name: 'lr' }));
    const sweep = alert({ id: 's-1-end', kind: 'finished', text: '“lr” has finished.', run_id: 's' });
    topic.push({ kind: 'alerts', alerts: [...trials, sweep, alert({ id: 'x', dismissed: true })] });
    expect(emit.mock.calls.map(([text]) => text)).toEqual(['“lr” has finished.']);
  });

  it('tell of many that have finished at once only how many; each that failed by itself', async () => {
    const { source, emit, topic } = listening({ alerts: () => [] });
    await vi.waitFor(() => expect(source.asked).toHaveLength(1));
    const ends = [1, 2, 3, 4].map(n =>
      alert({ id: `e${n}`, kind: 'finished', text: `“${n}” has finished.` }),
    );
    topic.push({ kind: 'alerts', alerts: [...ends, alert()] });
    topic.push({ kind: 'alerts', alerts: ends.slice(2) });
    expect(emit.mock.calls.map(([text]) => text)).toEqual([
      '“a” failed: no reason',
      '%1 runs have finished. The panel lists them.',
    ]);
  });

  it('stay away where the user does not want them', async () => {
    const shown = async (level: Preferences['notifications']) => {
      const { source, emit, topic } = listening({ alerts: () => [] }, level);
      await vi.waitFor(() => expect(source.asked).toHaveLength(1));
      const kinds = ['finished', 'failed', 'lost', 'stalled', 'disk'] as const;
      const trial = alert({ id: 'trial', text: 'trial', sweep_id: 's1' });
      const gone = alert({ id: 'gone', text: 'gone', dismissed: true });
      const alerts = [...kinds.map(kind => alert({ id: kind, kind, text: kind })), trial, gone];
      topic.push({ kind: 'alerts', alerts });
      return emit.mock.calls.map(([text]) => text);
    };
    expect(await shown('none')).toEqual([]);
    expect(await shown('problems')).toEqual(['failed', 'lost', 'stalled', 'disk']);
    expect(await shown('ends')).toEqual(['finished', 'failed', 'lost', 'stalled', 'disk']);
    expect(await shown('all')).toEqual(['finished', 'failed', 'lost', 'stalled', 'disk', 'trial']);
  });
});
