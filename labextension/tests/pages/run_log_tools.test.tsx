// What the tab of a log does with its end: wraps it, follows it, links the whole of it.
import { act } from 'react';
import { beforeEach, expect, it } from 'vitest';
import { LogTab } from '../../src/views/pages/run_log';
import { SourceProvider, type Source } from '../../src/views/data/source';
import { FakeSource, aRunDetail } from '../fake';
import { host, root, stage } from '../stage';

stage();

const END = 1000; // px of the whole text, of which 200 are seen
let source: FakeSource;

beforeEach(async () => {
  source = new FakeSource({
    log: () => ({ text: 'the end', offset: 93, end: 100, size: 100 }),
    runFiles: () => ({
      files: [
        { id: 'f1', name: 'config.json', size: 1 },
        { id: 'f2', name: 'output.log', size: 100 },
      ],
    }),
  });
  const withFiles = Object.assign(source, {
    fileAddress: (run: string, file: string) => `/api/runs/${run}/files/${file}`,
  }) as Source;
  await act(async () =>
    root.render(
      <SourceProvider value={withFiles}>
        <LogTab run={aRunDetail({ state: 'running' })} />
      </SourceProvider>,
    ),
  );
});

const pre = () => host.querySelector('pre')!;
const box = (label: string) =>
  [...host.querySelectorAll('label')]
    .find(each => each.textContent.trim() === label)!
    .querySelector('input')!;
const scrolled = (to: number) =>
  act(async () => {
    Object.defineProperties(pre(), {
      scrollHeight: { configurable: true, value: END },
      clientHeight: { configurable: true, value: 200 },
      scrollTop: { configurable: true, writable: true, value: to },
    });
    pre().dispatchEvent(new Event('scroll', { bubbles: true }));
  });

it('wraps long lines until it is switched off, and says how much of the log it shows', async () => {
  expect(host.textContent).toContain('The last 7 B of 100 B.');
  expect(pre().classList.contains('imgcls-log-unwrapped')).toBe(false);
  await act(async () => box('wrap lines').click());
  expect(pre().classList.contains('imgcls-log-unwrapped')).toBe(true);
});

it('follows the end, stands still where somebody scrolls up, and follows again from the end on', async () => {
  expect(box('follow').checked).toBe(true);
  await scrolled(300);
  expect(box('follow').checked).toBe(false);
  await scrolled(END - 200);
  expect(box('follow').checked).toBe(true);
  await scrolled(300);
  await act(async () => box('follow').click());
  expect(pre().scrollTop).toBe(END);
});

it('links the whole log', () => {
  const link = host.querySelector<HTMLAnchorElement>('a[download]')!;
  expect(link.getAttribute('href')).toBe('/api/runs/r1/files/f2');
});
