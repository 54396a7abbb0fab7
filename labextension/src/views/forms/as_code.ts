// The same launch in Python and in the shell, as a reader would write it. Pure; no view.
import type { TrainConfig } from '../data/asked';
import type { SweepRequest } from '../data/types';
import type { Layout } from './config_form';

/** What a form would launch. `space`: of a sweep. */
export interface Launch {
  config: TrainConfig;
  name: string;
  project: string;
  sweep: Pick<
    SweepRequest,
    'space' | 'strategy' | 'metric' | 'pruner' | 'trials' | 'epochs' | 'eta' | 'min_epochs' | 'replicates'
  > | null;
  /** Of a run. */
  replicates?: number;
}

/** The settings that differ from their defaults, in the form's order. */
export function settingsOf(layout: Layout, config: TrainConfig): [string, unknown][] {
  return [...layout.fields.values()]
    .filter(({ name }) => name in config)
    .map(({ name, fallback }): [string, unknown, unknown] => [name, plain(config[name]), plain(fallback)])
    .filter(
      ([name, value, fallback]) => name === 'root' || JSON.stringify(value) !== JSON.stringify(fallback),
    )
    .map(([name, value]) => [name, value]);
}

/** A list that a form holds as one text. */
const plain = (value: unknown): unknown =>
  Array.isArray(value) ? value.join(', ') : value === undefined ? null : value;

export function pythonValue(value: unknown): string {
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map(pythonValue).join(', ')}]`;
  if (typeof value === 'object')
    return `{${Object.entries(value).map(([name, item]) => `${JSON.stringify(name)}: ${pythonValue(item)}`).join(', ')}}`; // prettier-ignore
  return JSON.stringify(value);
}

const mapping = (entries: [string, unknown][]): string =>
  `{\n${entries.map(([name, value]) => `    ${JSON.stringify(name)}: ${pythonValue(value)},\n`).join('')}}`;

/** `values` of a choice alone, `{"low": ..}` of a range. */
const spaceOf = (space: SweepRequest['space']): [string, unknown][] =>
  Object.entries(space).map(([name, item]) => [name, 'values' in item ? item.values : item]);

export function asPython(layout: Layout, launch: Launch): string {
  const { config, name, project, sweep } = launch;
  const replicates = replicatesOf(launch);
  const options = [
    sweep && sweep.strategy !== 'grid' && `strategy=${pythonValue(sweep.strategy)}`,
    sweep && `metric=${pythonValue(sweep.metric)}`,
    sweep?.pruner && `pruner=${pythonValue(sweep.pruner)}`,
    sweep?.eta && `eta=${sweep.eta}`,
    sweep?.min_epochs && `min_epochs=${sweep.min_epochs}`,
    replicates > 1 && `replicates=${replicates}`,
    sweep && (sweep.trials || sweep.epochs) && `budget=${pythonValue(budgetOf(sweep))}`,
    name && `name=${pythonValue(name)}`,
    project && `project=${pythonValue(project)}`,
  ].filter(Boolean);
  const tail = options.length > 0 ? `, ${options.join(', ')}` : '';
  const settings = `config = ${mapping(settingsOf(layout, config))}\n`;
  const start = sweep
    ? `sweep = lab.sweep(config, ${mapping(spaceOf(sweep.space))}${tail})\nsweep`
    : replicates > 1
      ? `runs = lab.launch(config${tail})\nruns`
      : `run = lab.launch(config${tail})\nrun.watch()`;
  return `import imgcls_lab as lab\n\n${settings}${start}`;
}

/** How many runs a launch makes, or each trial is. */
const replicatesOf = ({ sweep, replicates }: Launch): number => (sweep ? sweep.replicates : replicates) ?? 1;

const budgetOf = ({ trials, epochs }: NonNullable<Launch['sweep']>): Record<string, number> => ({
  ...(trials ? { trials } : {}),
  ...(epochs ? { epochs } : {}),
});

/** A word of the shell: quoted where the shell would read something into it. */
export const shellWord = (text: string): string =>
  /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

const settingText = (value: unknown): string =>
  typeof value === 'string' ? value : JSON.stringify(value ?? null);

export function asShell(layout: Layout, launch: Launch): string {
  const { config, name, project, sweep } = launch;
  const settings = settingsOf(layout, config);
  if (sweep) {
    const { space, strategy, metric, pruner, eta, min_epochs } = sweep;
    const budget = budgetOf(sweep);
    const file = {
      base: Object.fromEntries(settings),
      space: Object.fromEntries(spaceOf(space)),
      strategy,
      metric,
      ...(pruner && { pruner }),
      ...(eta && { eta }),
      ...(min_epochs && { min_epochs }),
      ...((sweep.replicates ?? 1) > 1 && { replicates: sweep.replicates }),
      ...(Object.keys(budget).length > 0 && { budget }),
      ...(name && { name }),
    };
    return `cat > sweep.yaml <<'END'\n${JSON.stringify(file, null, 1)}\nEND\nimgcls-lab sweep sweep.yaml`;
  }
  const words = settings.map(([field, value]) => `--set ${shellWord(`${field}=${settingText(value)}`)}`);
  if (name) words.push(`--name ${shellWord(name)}`);
  if (project) words.push(`--project ${shellWord(project)}`);
  if (replicatesOf(launch) > 1) words.push(`--replicates ${replicatesOf(launch)}`);
  return ['imgcls-lab launch', ...words].join(' \\\n  ');
}
