// All runs that match a query, as the rows of a table: windows of them are asked for as they come into view, and the
// runs of a group stand below it while it is unfolded. No view; a table listens to it.
import type { RunsQuery } from './asked';
import { SourceError, messageOf, type Source } from './source';
import type { Run, RunGroup, RunGroups, RunRow as ListedRow } from './types';

const PAGE = 100; // rows of a window
const MOST_OF_GROUP = 1000; // runs that are chosen with it
export type GroupKind = RunGroup['kind'];

/** What a list shows and how: a host keeps it with the tab. */
export interface ListView {
  /** A query: `lr>1e-3 state=succeeded`. */
  where: string;
  sorting: { sort: string; order: 'asc' | 'desc' };
  /** Keys of its columns in their order; null: those that somebody gets who has chosen none. */
  columns: readonly string[] | null;
  /** What is folded. */
  group: readonly GroupKind[];
  /** The saved view that it began as. */
  saved?: number;
}

/** `group`: what is folded. */
export type RowsQuery = Omit<RunsQuery, 'limit' | 'offset'> & { group?: readonly GroupKind[] };

/** One list of the server, window by window. A stale window is shown until its new one is there. */
class Windows {
  reply: RunGroups | undefined;
  error: string | null = null;
  loading = true;
  readonly #pages = new Map<number, { round: number; items: ListedRow[] }>();
  readonly #asked = new Map<number, number>(); // window -> the round in which it was asked for
  readonly #under = new Map<number, Promise<void>>();
  #round = 0;
  #wanted: [number, number] = [0, PAGE];

  constructor(
    private readonly source: Source,
    private readonly query: RowsQuery,
    private readonly signal: AbortSignal,
    private readonly changed: () => void,
  ) {
    this.need(0, PAGE);
  }

  get total(): number {
    return this.reply?.total ?? 0;
  }

  at(index: number): ListedRow | undefined {
    return this.#pages.get(Math.floor(index / PAGE))?.items[index % PAGE];
  }

  *known(): Iterable<[number, ListedRow]> {
    for (const [page, { items }] of this.#pages)
      for (const [place, row] of items.entries()) yield [page * PAGE + place, row];
  }

  need(first: number, end: number): void {
    this.#wanted = [first, end];
    for (let page = Math.floor(Math.max(0, first) / PAGE); page * PAGE < end; page++) this.#load(page);
  }

  reload(): void {
    this.#round += 1;
    this.need(...this.#wanted);
  }

  /** Until the window of a position is there. Rejects as the source does. */
  async have(index: number): Promise<void> {
    const page = Math.floor(index / PAGE);
    if (this.#pages.has(page)) return;
    this.#load(page);
    await this.#under.get(page);
    if (this.error) throw new SourceError(this.error);
  }

  #load(page: number): void {
    if (this.#asked.get(page) === this.#round) return;
    const round = this.#round;
    this.#asked.set(page, round);
    const answer = this.#ask(page * PAGE).then(
      reply => {
        if (this.signal.aborted || (this.#pages.get(page)?.round ?? -1) > round) return;
        this.#pages.set(page, { round, items: reply.rows });
        this.reply = reply;
        this.#done(null);
      },
      problem => {
        if (this.signal.aborted) return;
        this.#asked.delete(page);
        this.#done(messageOf(problem));
      },
    );
    this.#under.set(page, answer);
  }

  /** A window of the list, folded or not, as rows. */
  async #ask(offset: number): Promise<RunGroups> {
    const { group, ...query } = this.query;
    const window = { ...query, limit: PAGE, offset };
    if (group?.length) return this.source.query('runGroups', { ...window, group: group.join() }, this.signal);
    const { items, total, counts, owners } = await this.source.query('runs', window, this.signal);
    return { rows: items.map(run => ({ group: null, run })), total, runs: total, counts, owners };
  }

  #done(error: string | null): void {
    this.error = error;
    this.loading = false;
    this.changed();
  }
}

/** A row of the table: a run, or a group with its head as `run`. */
export interface RunRow extends ListedRow {
  /** Key of the group below whose row it stands. */
  of: string | null;
  unfolded: boolean;
}

/** A row as somebody means it: by what it shows, and by its position as long as that is not known. */
export interface RowPlace {
  index: number;
  key: string | null;
}

const keyOf = ({ of, group, run }: RunRow): string => `${of ?? ''}/${group?.key ?? run?.id}`;

export interface RowsSnapshot {
  /** Another object: something changed. */
  query: RowsQuery;
  /** Rows; undefined: not known yet. */
  rows: number | undefined;
  reply: RunGroups | undefined;
  error: string | null;
  /** A newer list is on the way; what is shown is the last one. */
  loading: boolean;
}

export class RunRows {
  readonly #source: Source;
  readonly #listeners = new Set<() => void>();
  #life = new AbortController();
  #top: Windows;
  #next: Windows | null = null;
  #groups = new Map<string, { list: Windows; place: number | undefined }>();
  #query: RowsQuery;
  #snapshot: RowsSnapshot;

  constructor(source: Source, query: RowsQuery) {
    this.#source = source;
    this.#query = query;
    this.#top = new Windows(source, query, this.#life.signal, this.#changed);
    this.#snapshot = this.#now();
  }

  readonly current = (): RowsSnapshot => this.#snapshot;

  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };

  /** Show what matches another query. The rows of before stay until the first window of the new ones is there. */
  ask(query: RowsQuery): void {
    if (JSON.stringify(query) === JSON.stringify(this.#query)) return;
    this.#life.abort();
    this.#life = new AbortController();
    this.#query = query;
    const next = new Windows(this.#source, query, this.#life.signal, () => {
      if (this.#next === next && (next.reply || next.error)) {
        if (next.reply) {
          this.#top = next;
          this.#groups = new Map();
        } else this.#top.error = next.error; // the rows of before, and what is wrong with the query
        this.#next = null;
      }
      this.#changed();
    });
    this.#next = next;
    this.#changed();
  }

  readonly close = (): void => {
    this.#life.abort();
    this.#listeners.clear();
  };

  /** Ask again for what is in view, since runs came, went or changed. */
  readonly reload = (): void => {
    this.#top.reload();
    for (const { list } of this.#groups.values()) list.reload();
  };

  /** The row at a position; undefined: its window is not there yet. */
  readonly at = (index: number): RunRow | undefined => {
    const { place, group, inner } = this.#locate(index);
    if (group !== null) {
      const row = this.#groups.get(group)!.list.at(inner);
      return row && { ...row, of: group, unfolded: false };
    }
    const row = this.#top.at(place);
    return row && { ...row, of: null, unfolded: row.group !== null && this.#groups.has(row.group.key) };
  };

  /** A position, to be found again by `find` after rows have come, gone or moved. */
  readonly place = (index: number): RowPlace => {
    const row = this.at(index);
    return { index, key: row ? keyOf(row) : null };
  };

  /** Where a row stands by now; one that is not known any more: what has taken its position. */
  readonly find = ({ index, key }: RowPlace): number => {
    const there = this.at(index);
    if (key === null || (there && keyOf(there) === key)) return index;
    for (const [at, row] of this.#known()) if (keyOf(row) === key) return at;
    return index;
  };

  /** The query of the runs of a group. */
  readonly queryOf = (group: RunGroup): RowsQuery => {
    const { where = '', sort, order, columns, curves } = this.#query;
    return { sort, order, columns, curves, where: `${where} ${group.where}`.trim() };
  };

  /** The runs of rows [first, end), once they are there. Rejects as the source does. */
  async range(first: number, end: number): Promise<Run[]> {
    const runs: Run[] = [];
    for (let index = first; index < end; index++) {
      const { place, group, inner } = this.#locate(index);
      if (!this.at(index))
        await (group === null ? this.#top.have(place) : this.#groups.get(group)?.list.have(inner));
      const row = this.at(index);
      if (row?.group) runs.push(...(await this.runsOf(row)));
      else if (row?.run) runs.push(row.run);
    }
    return runs;
  }

  /** Rows [first, end) are in view. */
  readonly need = (first: number, end: number): void => {
    const [from, to] = [this.#locate(first), this.#locate(Math.max(first, end - 1))];
    this.#top.need(from.place, to.place + 1);
    for (const [id, { list }] of this.#groups) {
      if (from.group === id || to.group === id)
        list.need(
          from.group === id ? from.inner : 0,
          to.group === id ? to.inner + 1 : from.inner + end - first,
        );
    }
  };

  /** The runs of a group with its head, or the one run of a row. Rejects as the source does. */
  async runsOf({ group, run }: ListedRow): Promise<Run[]> {
    if (!group) return run ? [run] : [];
    const query = { ...this.queryOf(group), columns: undefined, curves: undefined, limit: MOST_OF_GROUP };
    const { items } = await this.#source.query('runs', query, this.#life.signal);
    return run ? [run, ...items.filter(({ id }) => id !== run.id)] : items;
  }

  readonly fold = (group: RunGroup, unfolded: boolean): void => {
    if (!unfolded) this.#groups.delete(group.key);
    else if (!this.#groups.has(group.key)) {
      const list = new Windows(this.#source, this.queryOf(group), this.#life.signal, this.#changed);
      this.#groups.set(group.key, { list, place: undefined });
    }
    this.#changed();
  };

  /** Whose position in the server's list a row has, and in which group. */
  #locate(index: number): { place: number; group: string | null; inner: number } {
    let before = 0; // rows of groups above
    for (const [id, { list, place }] of this.#placed()) {
      const own = place + before; // the row of the group itself
      if (index <= own) break;
      if (index <= own + list.total) return { place, group: id, inner: index - own - 1 };
      before += list.total;
    }
    return { place: index - before, group: null, inner: 0 };
  }

  /** All rows whose windows are there, with their positions. */
  *#known(): Iterable<[number, RunRow]> {
    const placed = this.#placed();
    for (const [place, row] of this.#top.known()) {
      const before = placed.reduce((sum, [, group]) => sum + (group.place < place ? group.list.total : 0), 0);
      const unfolded = row.group && this.#groups.get(row.group.key);
      yield [place + before, { ...row, of: null, unfolded: Boolean(unfolded) }];
      if (!unfolded) continue;
      for (const [inner, child] of unfolded.list.known())
        yield [place + before + 1 + inner, { ...child, of: row.group!.key, unfolded: false }];
    }
  }

  #placed(): [string, { list: Windows; place: number }][] {
    return [...this.#groups]
      .flatMap(([id, { list, place }]) =>
        place === undefined ? [] : [[id, { list, place }] as [string, { list: Windows; place: number }]],
      )
      .sort(([, a], [, b]) => a.place - b.place);
  }

  readonly #changed = (): void => {
    if (this.#groups.size > 0) {
      for (const group of this.#groups.values()) group.place = undefined;
      for (const [place, row] of this.#top.known()) {
        const group = row.group && this.#groups.get(row.group.key);
        if (group) group.place = place;
      }
    }
    this.#snapshot = this.#now();
    for (const listener of this.#listeners) listener();
  };

  #now(): RowsSnapshot {
    const { reply, error, loading } = this.#top;
    const inGroups = this.#placed().reduce((sum, [, { list }]) => sum + list.total, 0);
    return {
      query: this.#query,
      rows: reply && reply.total + inGroups,
      reply,
      error,
      loading: loading || this.#next !== null,
    };
  }
}
