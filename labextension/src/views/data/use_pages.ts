// A long list of which a view sees a part: pages are asked for as they come into view.
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { onMutation } from './mutate';
import type { Params, Query, Result } from './requests';
import { messageOf, useSource } from './source';

const PAGE = 200;
const MOST = 20_000; // items of one choice

/** Queries that answer a page of a list. */
export type PagedQuery = {
  [K in Query]: Result[K] extends { items: unknown[]; offset: number; total: number } ? K : never;
}[Query];
export type ItemOf<K extends PagedQuery> = Result[K]['items'][number];

export interface Pages<T> {
  /** Items of the whole list; undefined: not known yet. */
  total: number | undefined;
  /** The item at a position, if its page is there. */
  at: (index: number) => T | undefined;
  /** Positions [first, end) are in view. */
  need: (first: number, end: number) => void;
  /** The items at [first, end), once they are there; at most 20,000. */
  range: (first: number, end: number) => Promise<T[]>;
  error: string | null;
  /** A newer list is on the way. */
  loading: boolean;
  /** Another number: another list, so a view begins at its top. */
  list: number;
}

/** Items that are there as a whole, for views that take pages. */
export function usePageOf<T>(items: readonly T[]): Pages<T> {
  const lists = useRef({ items, list: 0 });
  if (lists.current.items !== items) lists.current = { items, list: lists.current.list + 1 };
  const { list } = lists.current;
  return useMemo(
    () => ({
      total: items.length,
      at: index => items[index],
      need: () => undefined,
      range: async (first, end) => items.slice(first, end),
      error: null,
      loading: false,
      list,
    }),
    [items, list],
  );
}

/** The same list, each item as another. `to` is kept over redraws (useCallback). */
export function useMappedPages<T, U>(pages: Pages<T>, to: (item: T) => U): Pages<U> {
  const { at, range } = pages;
  const seen = useMemo(() => ({ to, of: new Map<T, U>() }), [to]);
  const mapped = useCallback(
    (item: T): U => {
      if (!seen.of.has(item)) seen.of.set(item, seen.to(item));
      return seen.of.get(item)!;
    },
    [seen],
  );
  const atMapped = useCallback(
    (index: number) => {
      const item = at(index);
      return item === undefined ? undefined : mapped(item);
    },
    [at, mapped],
  );
  const rangeMapped = useCallback(
    async (first: number, end: number) => (await range(first, end)).map(mapped),
    [range, mapped],
  );
  return { ...pages, at: atMapped, range: rangeMapped };
}

interface Held<K extends PagedQuery> {
  key: string;
  pages: Map<number, ItemOf<K>[]>;
  reply: Result[K];
}

/** The list that a query answers, page by page. `params` null: not yet. The last list stays until the first page of
 * the next one is there, so that nothing flickers. `reply`: the newest page's answer, for what it says of the whole. */
export function usePages<K extends PagedQuery>(
  kind: K,
  params: Omit<Params[K], 'offset' | 'limit'> | null,
): Pages<ItemOf<K>> & { reply: Result[K] | undefined; reload: () => void } {
  const source = useSource();
  const key = JSON.stringify(params);
  const [round, setRound] = useState(0);
  const [error, setError] = useState<string | null>(null);
  const [loading, setLoading] = useState(params !== null);
  const [, redraw] = useState(0);
  const held = useRef<Held<K> | null>(null);
  const list = useRef(0);
  const asked = useRef(new Map<number, Promise<void>>());
  const life = useRef(new AbortController());

  const load = useCallback(
    (page: number): Promise<void> => {
      const known = asked.current.get(page);
      if (known) return known;
      const { signal } = life.current;
      const mine = asked.current;
      const question = { ...JSON.parse(key), offset: page * PAGE, limit: PAGE } as Params[K];
      const answer = source.query(kind, question, signal).then(
        reply => {
          if (signal.aborted) return;
          if (held.current?.key !== key) {
            held.current = { key, pages: new Map(), reply };
            list.current += 1;
          }
          if (page === 0)
            for (const other of held.current.pages.keys())
              if (!mine.has(other)) held.current.pages.delete(other);
          held.current.pages.set(page, reply.items as ItemOf<K>[]);
          held.current.reply = reply;
          setError(null);
          if (page === 0) setLoading(false);
          redraw(n => n + 1);
        },
        problem => {
          if (signal.aborted) return;
          mine.delete(page);
          setError(messageOf(problem));
          setLoading(false);
          throw problem;
        },
      );
      mine.set(page, answer);
      return answer;
    },
    [source, kind, key],
  );

  useEffect(() => {
    if (key === 'null') return;
    const stop = (life.current = new AbortController());
    asked.current = new Map();
    setLoading(true);
    load(0).catch(() => undefined); // `error` says it
    return () => stop.abort();
  }, [load, key, round]);
  const reload = useCallback(() => setRound(n => n + 1), []);
  useEffect(() => onMutation(source, kind, reload), [source, kind, reload]);

  const shown = held.current;
  const current = shown?.key === key;
  const total = shown?.reply.total;
  const at = useCallback(
    (index: number) => held.current?.pages.get(Math.floor(index / PAGE))?.[index % PAGE],
    [],
  );
  const need = useCallback(
    (first: number, end: number) => {
      if (!current) return;
      for (let page = Math.floor(first / PAGE); page * PAGE < end; page++) load(page).catch(() => undefined);
    },
    [current, load],
  );
  const range = useCallback(
    async (first: number, end: number) => {
      const last = Math.min(end, first + MOST);
      for (let page = Math.floor(first / PAGE); page * PAGE < last; page++) await load(page);
      const items: ItemOf<K>[] = [];
      for (let index = first; index < last; index++) {
        const item = at(index);
        if (item !== undefined) items.push(item);
      }
      return items;
    },
    [load, at],
  );
  return { total, at, need, range, error, loading, list: list.current, reply: shown?.reply, reload };
}
