// What the panel does becomes cells: one for each command that has worked, in its order, with the variables before it.
import { expect, test } from 'vitest';
import type { CodeRequest, PythonCode } from '../../src/views/data/types';
import { appendCell, type SharedNotebook } from '../../src/lab/recorded_notebook';
import { ActionRecorder, type Pad } from '../../src/lab/recorder';
import type { Call } from '../../src/lab/server_source';

const LAUNCH: Call = { verb: 'POST', path: 'runs', body: { config: {} } };
const STOP: Call = { verb: 'POST', path: 'runs/r1/stop' };

function setting(answer: (request: CodeRequest) => PythonCode | Promise<PythonCode>) {
  const asked: CodeRequest[] = [];
  const cells: string[] = [];
  let close: () => void = () => undefined;
  const pad: Pad = {
    name: () => 'a.ipynb',
    append: code => cells.push(code),
    follow: (_, closed) => (close = closed),
  };
  const recorder = new ActionRecorder(
    async request => {
      asked.push(request);
      return answer(request);
    },
    async () => pad,
  );
  return { recorder, asked, cells, close: () => close() };
}

const numbered = ({ variables = {}, taken = [] }: CodeRequest): PythonCode => {
  const variable = `run_${Object.keys(variables).length + taken.length + 1}`;
  return { code: `${variable} = lab.launch()`, variable, ended: [] };
};

async function begun(answer: (request: CodeRequest) => PythonCode | Promise<PythonCode> = numbered) {
  const all = setting(answer);
  all.recorder.toggle();
  await Promise.resolve();
  await Promise.resolve();
  expect(all.recorder.current().recording).toBe(true);
  return all;
}

test('without recording nothing is asked and nothing is written', async () => {
  const { recorder, asked, cells } = setting(numbered);
  expect(await recorder.before(LAUNCH)).toBeUndefined();
  expect([asked, cells]).toEqual([[], []]);
});

test('a command becomes a cell when it has worked, the first with the import', async () => {
  const { recorder, asked, cells } = await begun();
  const first = await recorder.before(LAUNCH);
  expect(cells).toEqual([]);
  first!({ id: 'r1' });
  (await recorder.before(STOP))!({ id: 'r1' });
  expect(cells).toEqual(['import imgcls_lab as lab\n\nrun_1 = lab.launch()', 'run_2 = lab.launch()']);
  expect(asked[1]!.variables).toEqual({ r1: 'run_1' });
  expect(recorder.current()).toEqual({ recording: true, notebook: 'a.ipynb', cells: 2, problem: '' });
});

test('each of several runs is held by its place in the list', async () => {
  const { recorder, asked } = await begun(() => ({ code: 'runs_1 = …', variable: 'runs_1', ended: [] }));
  (await recorder.before({ verb: 'POST', path: 'runs/replicates' }))!([{ id: 'r1' }, { id: 'r2' }]);
  await recorder.before(STOP);
  expect(asked[1]!.variables).toEqual({ r1: 'runs_1[0]', r2: 'runs_1[1]' });
});

test('a command that was refused leaves no cell and gives its variable back', async () => {
  const { recorder, cells, asked } = await begun();
  (await recorder.before(LAUNCH))!();
  (await recorder.before(LAUNCH))!({ id: 'r1' });
  expect(cells).toHaveLength(1);
  expect(asked[1]!.taken).toEqual([]);
});

test('of two launches at once each has a variable of its own', async () => {
  const { recorder, cells } = await begun();
  const [first, second] = await Promise.all([recorder.before(LAUNCH), recorder.before(LAUNCH)]);
  second!({ id: 'r2' });
  first!({ id: 'r1' });
  expect(cells.map(cell => cell.split('\n').at(-1))).toEqual([
    'run_2 = lab.launch()',
    'run_1 = lab.launch()',
  ]);
});

test('what leaves nothing behind, and what sends a file, is no cell', async () => {
  const { recorder, asked, cells } = await begun(() => ({ code: '', variable: '', ended: [] }));
  expect(await recorder.before({ verb: 'POST', path: 'alerts/dismiss' })).toBeUndefined();
  expect(await recorder.before({ verb: 'POST', path: 'archives', file: new Blob() })).toBeUndefined();
  expect(asked).toHaveLength(1);
  expect(cells).toEqual([]);
});

test('an action whose code cannot be had is done, and the notebook says so', async () => {
  const { recorder, cells } = await begun(() => Promise.reject(new Error('The server\nis away.')));
  (await recorder.before(STOP))!({ id: 'r1' });
  expect(cells[0]).toMatch(/# An action that could not be recorded: The server is away\.$/);
});

test('it ends when its notebook is closed, and says why', async () => {
  const { recorder, close } = await begun();
  close();
  expect(recorder.current()).toMatchObject({ recording: false, problem: expect.stringContaining('a.ipynb') });
  expect(await recorder.before(LAUNCH)).toBeUndefined();
});

test('where no notebook can be had, it does not begin and says why', async () => {
  const recorder = new ActionRecorder(
    () => Promise.reject(new Error('never')),
    () => Promise.reject(new Error('No notebook is open.')),
  );
  recorder.toggle();
  await new Promise(resolve => setTimeout(resolve));
  expect(recorder.current()).toMatchObject({ recording: false, problem: 'No notebook is open.' });
});

test('code goes into the last cell where that is empty, else into a new one', () => {
  const sources = ['1 + 1', '  '];
  const cell = (index: number) => ({
    cell_type: 'code',
    getSource: () => sources[index]!,
    setSource: (source: string) => void (sources[index] = source),
  });
  const notebook: SharedNotebook = {
    get cells() {
      return sources.map((_, index) => cell(index));
    },
    insertCell: (index, { source }) => sources.splice(index, 0, source),
  };
  appendCell(notebook, 'a');
  appendCell(notebook, 'b');
  expect(sources).toEqual(['1 + 1', 'a', 'b']);
});
