import { beforeEach, describe, expect, it, vi } from 'vitest';
import { Stream, type Socket } from '../../src/lab/stream';
import type { ConnectionState } from '../../src/views/data/source';
import type { Batch } from '../../src/views/data/types';

class FakeSocket implements Socket {
  sent: { op: string; id: number; topic?: Record<string, unknown> }[] = [];
  closed = false;
  onopen: Socket['onopen'] = null;
  onmessage: Socket['onmessage'] = null;
  onclose: Socket['onclose'] = null;
  send = (text: string) => void this.sent.push(JSON.parse(text));
  close = () => void (this.closed = true);
  open = () => this.onopen?.call(this as never, new Event('open'));
  break = () => this.onclose?.call(this as never, new CloseEvent('close'));
  push = (message: object) =>
    this.onmessage?.call(this as never, new MessageEvent('message', { data: JSON.stringify(message) }));
}

let sockets: FakeSocket[];
let stream: Stream;
let links: ConnectionState[];
let batches: Batch[];
let stop: AbortController;

beforeEach(() => {
  vi.useFakeTimers();
  sockets = [];
  links = [];
  batches = [];
  stop = new AbortController();
  stream = new Stream(
    () => {
      const socket = new FakeSocket();
      sockets.push(socket);
      return socket;
    },
    () => 0.5,
  );
});

const listen = (topic: Parameters<Stream['subscribe']>[0]) =>
  stream.subscribe(
    topic,
    batch => batches.push(batch),
    connection => links.push(connection),
    stop.signal,
  );

describe('one socket for all topics', () => {
  it('subscribes when it is open, and not before', () => {
    listen({ kind: 'runs' });
    listen({ kind: 'devices' });
    expect(sockets).toHaveLength(1);
    expect(sockets[0]!.sent).toEqual([]);
    sockets[0]!.open();
    expect(sockets[0]!.sent.map(({ op, topic }) => [op, topic!.kind])).toEqual([
      ['subscribe', 'runs'],
      ['subscribe', 'devices'],
    ]);
    expect(links).toEqual(['connecting', 'connecting', 'live', 'live']);
  });

  it('brings a batch to its own subscriber alone', () => {
    listen({ kind: 'runs' });
    sockets[0]!.open();
    const batch = { kind: 'runs', changed: [], deleted: ['x'] };
    sockets[0]!.push({ id: sockets[0]!.sent[0]!.id, batch });
    sockets[0]!.push({ id: 99, batch });
    expect(batches).toEqual([batch]);
  });

  it('is closed some time after the last has gone', () => {
    listen({ kind: 'runs' });
    sockets[0]!.open();
    stop.abort();
    expect(sockets[0]!.sent.at(-1)!.op).toBe('unsubscribe');
    expect(sockets[0]!.closed).toBe(false);
    vi.advanceTimersByTime(3000);
    expect(sockets[0]!.closed).toBe(true);
  });
});

describe('a broken link', () => {
  it('comes back and goes on from the last point that was seen', () => {
    listen({ kind: 'metrics', run_ids: ['r1'], since: { r1: { attempt: 1, seq: 5 } } });
    sockets[0]!.open();
    const id = sockets[0]!.sent[0]!.id;
    sockets[0]!.push({ id, batch: { kind: 'metrics', series: [], cursors: { r1: { attempt: 2, seq: 9 } } } });
    sockets[0]!.break();
    expect(links.at(-1)).toBe('reconnecting');
    vi.advanceTimersByTime(600);
    expect(sockets).toHaveLength(2);
    sockets[1]!.open();
    expect(sockets[1]!.sent[0]!.topic).toEqual({
      kind: 'metrics',
      run_ids: ['r1'],
      since: { r1: { attempt: 2, seq: 9 } },
    });
    expect(links.at(-1)).toBe('live');
  });

  it('reads a log on from its last byte', () => {
    listen({ kind: 'log', run_id: 'r1', offset: 10 });
    sockets[0]!.open();
    const chunk = { text: 'abc', offset: 10, end: 13, size: 13 };
    sockets[0]!.push({ id: sockets[0]!.sent[0]!.id, batch: { kind: 'log', run_id: 'r1', chunk } });
    sockets[0]!.break();
    vi.advanceTimersByTime(600);
    sockets[1]!.open();
    expect(sockets[1]!.sent[0]!.topic!.offset).toBe(13);
  });

  it('is tried again ever more slowly, and never given up', () => {
    listen({ kind: 'runs' });
    for (const pause of [500, 1000, 2000, 4000, 8000, 15_000, 15_000]) {
      const before = sockets.length;
      sockets.at(-1)!.break();
      vi.advanceTimersByTime(pause - 1);
      expect(sockets).toHaveLength(before);
      vi.advanceTimersByTime(1);
      expect(sockets).toHaveLength(before + 1);
    }
  });

  it('is tried at once when the network is back', () => {
    listen({ kind: 'runs' });
    sockets[0]!.break();
    stream.hurry();
    expect(sockets).toHaveLength(2);
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(2);
  });

  it('is left alone when nobody listens', () => {
    listen({ kind: 'runs' });
    sockets[0]!.break();
    stop.abort();
    vi.advanceTimersByTime(60_000);
    expect(sockets).toHaveLength(1);
  });
});

it('says that batches were missed when the server says so', () => {
  listen({ kind: 'runs' });
  sockets[0]!.open();
  sockets[0]!.push({ id: sockets[0]!.sent[0]!.id, error: 'too slow' });
  expect(links.at(-1)).toBe('gap');
});
