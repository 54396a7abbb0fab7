// The TensorBoards of the server: asked for at times, and at once when this page has changed one.
import { mutate } from './mutate';
import { useSource } from './source';
import type { Board } from './types';
import { usePoll } from './use_poll';
import { useAction, useQuery } from './use_query';

const SOON = 5_000; // ms between two questions while there are any
const SELDOM = 60_000;
const NONE: Board[] = [];

/** All of them; none where the server has none to give. `active` false: do not ask. */
export function useTensorBoards(active = true): Board[] {
  const { data: boards = NONE, reload } = useQuery('tensorboards', active ? {} : null);
  usePoll(reload, boards.length > 0 ? SOON : SELDOM, active);
  return boards;
}

/** The buttons of a TensorBoard's process. */
export function useTensorBoardAction() {
  const source = useSource();
  const { busy, error, act } = useAction();
  const press = (verb: 'stop' | 'restart' | 'delete', id: string) =>
    act(verb, () => mutate(source, `tensorboards.${verb}`, { id }));
  return { busy, error, press };
}
