import { describe, expect, it, vi } from 'vitest';
import { notify, SHORT } from '../../src/lab/notifications';
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
  let number = 0;
  const emit = vi.fn().mockImplementation(() => `toast ${++number}`);
  const toasts = { emit, update: vi.fn().mockReturnValue(true), dismiss: vi.fn() };
  const open = vi.fn();
  notify(source, trans, () => level, open, toasts, new AbortController().signal);
  return { source, ...toasts, open, topic: source.on('alerts') };
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

  it('tell of many that end within moments only how many, in one notification', async () => {
    const { source, emit, update, dismiss, topic } = listening({ alerts: () => [] });
    await vi.waitFor(() => expect(source.asked).toHaveLength(1));
    const push = (...numbers: number[]) =>
      topic.push({
        kind: 'alerts',
        alerts: numbers.map(n => alert({ id: `e${n}`, kind: 'finished', text: `“${n}” has finished.` })),
      });
    push(1, 2);
    expect(emit.mock.calls.map(([text]) => text)).toEqual(['“1” has finished.', '“2” has finished.']);
    push(2, 3, 4);
    expect(dismiss.mock.calls).toEqual([['toast 1'], ['toast 2']]);
    expect(emit.mock.calls.at(-1)?.slice(0, 2)).toEqual([
      '%1 runs have finished. The panel lists them.',
      'success',
    ]);
    push(5);
    expect(emit).toHaveBeenCalledTimes(3);
    expect(update.mock.calls.map(([{ id }]) => id)).toEqual(['toast 3']);
    topic.push({ kind: 'alerts', alerts: [alert()] });
    expect(emit.mock.calls.at(-1)?.[0]).toBe('“a” failed: no reason'); // what fails counts by itself
  });

  it('tell of the next ends one by one when the others have gone from the screen', async () => {
    const { source, emit, topic } = listening({ alerts: () => [] });
    await vi.waitFor(() => expect(source.asked).toHaveLength(1));
    vi.useFakeTimers();
    try {
      const ends = [1, 2, 3, 4, 5].map(n => alert({ id: `e${n}`, kind: 'finished', text: `“${n}”` }));
      topic.push({ kind: 'alerts', alerts: ends.slice(0, 4) });
      vi.advanceTimersByTime(SHORT + 1);
      topic.push({ kind: 'alerts', alerts: ends });
    } finally {
      vi.useRealTimers();
    }
    expect(emit.mock.calls.map(([text]) => text)).toEqual([
      '%1 runs have finished. The panel lists them.',
      '“5”',
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
      return new Set(emit.mock.calls.map(([text]) => text));
    };
    expect(await shown('none')).toEqual(new Set());
    expect(await shown('problems')).toEqual(new Set(['failed', 'lost', 'stalled', 'disk']));
    expect(await shown('ends')).toEqual(new Set(['finished', 'failed', 'lost', 'stalled', 'disk']));
    expect(await shown('all')).toEqual(new Set(['finished', 'failed', 'lost', 'stalled', 'disk', 'trial']));
  });
});
