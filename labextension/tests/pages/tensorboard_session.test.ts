import { expect, it } from 'vitest';
import type { Board } from '../../src/views/data/types';
import {
  NEW_SESSION,
  isDown,
  reduceSession,
  type Session,
  type SessionEvent,
} from '../../src/views/pages/tensorboard_session';

const board = (state: Board['state']): Board => ({
  id: 'run-1',
  title: 'a run',
  project_id: null,
  sweep_id: null,
  run_ids: ['r1'],
  state,
  message: null,
  memory: null,
  started_at: null,
});
const after = (...events: SessionEvent[]): Session => events.reduce(reduceSession, NEW_SESSION);
const visible = (on: boolean): SessionEvent => ({ type: 'visible', visible: on });
const listed = (state: Board['state']): SessionEvent => ({ type: 'listed', board: board(state) });
const opened: SessionEvent = { type: 'opened', board: board('asleep') };

it('makes its frame once it is opened and somebody sees it, whichever is first', () => {
  expect(after(opened).framed).toBe(false);
  expect(after(visible(true)).framed).toBe(false);
  expect(after(opened, visible(true)).framed).toBe(true);
  expect(after(visible(true), opened).framed).toBe(true);
  expect(after(visible(true), opened, visible(false)).framed).toBe(true);
});

it('is down when its process ended, and not while it has yet to begin', () => {
  expect(isDown(after(visible(true), opened, listed('asleep')))).toBe(false);
  expect(isDown(after(visible(true), opened, listed('running')))).toBe(false);
  expect(isDown(after(visible(true), opened, listed('running'), listed('asleep')))).toBe(true);
  expect(isDown(after(visible(true), opened, listed('running'), listed('failed')))).toBe(true);
});

it('opens again for who comes back to one that fell asleep meanwhile, and not to one that failed', () => {
  const left = [visible(true), opened, listed('running'), visible(false)];
  const back = after(...left, listed('asleep'), visible(true));
  expect([back.round, isDown(back), back.framed]).toEqual([1, false, true]);
  const failed = after(...left, listed('failed'), visible(true));
  expect([failed.round, isDown(failed)]).toEqual([0, true]);
});

it('says why it could not be opened until it is opened again', () => {
  const refused = after(visible(true), { type: 'failed', message: 'no runs' });
  expect([refused.error, refused.framed]).toEqual(['no runs', false]);
  const again = reduceSession(refused, { type: 'reopen' });
  expect([again.round, again.error]).toEqual([1, null]);
});
