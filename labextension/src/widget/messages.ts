// What travels between the kernel's `LiveRunWidget` and the page. Points come as one buffer of 64-bit floats: for each
// series its steps, epochs, times and values, in the order of the heads; NaN stands for "not finite".
import type { Cursor, MetricsBatch, RunDetail, Series, SeriesReply } from '../views/data/types';

export interface Head {
  run_id: string;
  tag: string;
  count: number;
  thinned: boolean;
}

interface Packed {
  heads: Head[];
  cursors: Record<string, Cursor>;
}

/** The run as a whole; `seq` counts the batches it already holds. */
export interface Snapshot extends Packed {
  seq: number;
  run: RunDetail;
  points: DataView;
}

interface BatchMessage extends Packed {
  op: 'batch';
  seq: number;
  run: RunDetail | null;
  superseded: Record<string, number>;
}

export interface ReplyMessage {
  op: 'reply';
  id: number;
  result?: unknown;
  error?: { message: string; status: number };
}

/** The kernel has nothing new, and lives. */
interface AliveMessage {
  op: 'alive';
}

export type Message = BatchMessage | ReplyMessage | AliveMessage;

function unpack(heads: Head[], points: DataView): Series[] {
  let at = 0;
  const column = (count: number): number[] => {
    const values = new Array<number>(count);
    for (let i = 0; i < count; i++, at += 8) values[i] = points.getFloat64(at, true);
    return values;
  };
  return heads.map(({ run_id, tag, count, thinned }) => ({
    run_id,
    tag,
    thinned,
    step: column(count),
    epoch: column(count),
    time: column(count),
    value: column(count).map(value => (Number.isNaN(value) ? null : value)),
  }));
}

export const repliedBy = (snapshot: Snapshot): SeriesReply => ({
  series: unpack(snapshot.heads, snapshot.points),
  cursors: snapshot.cursors,
});

export const batchOf = (message: BatchMessage, points: DataView): MetricsBatch => ({
  kind: 'metrics',
  series: unpack(message.heads, points),
  cursors: message.cursors,
  superseded: message.superseded,
});
