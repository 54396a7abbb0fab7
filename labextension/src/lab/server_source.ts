// The views' source in JupyterLab: REST under <base_url>imgcls/api, and its one WebSocket.
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { PictureRequest } from '../views/data/asked';
import type { Args, Command, Params, Query, Reply, Result } from '../views/data/requests';
import { SourceError, type BatchOf, type ConnectionState, type Source } from '../views/data/source';
import type { ErrorReply, Topic } from '../views/data/types';
import { sending } from './sending';
import { Stream } from './stream';

const PREFIX = 'imgcls/api';
type Verb = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
export interface Call {
  verb: Verb;
  path: string;
  query?: Record<string, string | number | string[] | undefined>;
  body?: unknown;
  /** Bytes that are sent as they are. */
  file?: Blob;
}

const part = (text: string | number): string => encodeURIComponent(String(text));

/** Where each query goes. */
export function queryCall(kind: Query, params: unknown): Call {
  const get = (path: string, query?: Call['query']): Call => ({ verb: 'GET', path, query });
  switch (kind) {
    case 'load':
      return get('devices/load');
    case 'schema':
      return get('configs/schema');
    case 'code':
      return { verb: 'POST', path: 'code', body: params };
    case 'check':
      return { verb: 'POST', path: 'configs/check', body: params };
    case 'sweepCheck':
      return { verb: 'POST', path: 'sweeps/check', body: params };
    case 'runs': {
      const { states, ...rest } = params as Params['runs'];
      return get('runs', { ...rest, state: states });
    }
    case 'runGroups': {
      const { states, ...rest } = params as Params['runGroups'];
      return get('runs/groups', { ...rest, state: states });
    }
    case 'viewCounts':
      return get('views/counts');
    case 'runColumns':
      return get('runs/columns');
    case 'run':
      return get(`runs/${part((params as Params['run']).id)}`);
    case 'claim':
      return get(`runs/${part((params as Params['claim']).id)}/claim`);
    case 'series': {
      const { run_ids, tags, ...rest } = params as Params['series'];
      return get('series', { ...rest, run: run_ids, tag: tags });
    }
    case 'comparison':
      return get('comparison', { run: (params as Params['comparison']).run_ids });
    case 'log': {
      const { id, ...rest } = params as Params['log'];
      return get(`runs/${part(id)}/log`, rest);
    }
    case 'logSearch': {
      const { id, ...rest } = params as Params['logSearch'];
      return get(`runs/${part(id)}/log/search`, rest);
    }
    case 'startPhases':
      return get(`runs/${part((params as Params['startPhases']).id)}/starts`);
    case 'runFiles':
      return get(`runs/${part((params as Params['runFiles']).id)}/files`);
    case 'codeChanges': {
      const { id, against } = params as Params['codeChanges'];
      return get(`runs/${part(id)}/code`, { against });
    }
    case 'manifest':
      return get(`runs/${part((params as Params['manifest']).id)}/manifest`);
    case 'report': {
      const { id, ...rest } = params as Params['report'];
      return get(`runs/${part(id)}/report`, rest);
    }
    case 'staticCell':
      return get(`runs/${part((params as Params['staticCell']).id)}/cell`);
    case 'imageChanges': {
      const { id, ...rest } = params as Params['imageChanges'];
      return get(`runs/${part(id)}/image-changes`, rest);
    }
    case 'evaluation':
    case 'curves':
    case 'flips': {
      const { id, ...rest } = params as Params['flips'];
      return get(`runs/${part(id)}/${kind}`, rest);
    }
    case 'evaluated': {
      const { id, ...rest } = params as Params['evaluated'];
      return get(`runs/${part(id)}/images`, { ...rest });
    }
    case 'image': {
      const { id, image, ...rest } = params as Params['image'];
      return get(`runs/${part(id)}/images/${part(image)}`, rest);
    }
    case 'events':
      return get('events', params as Params['events']);
    case 'alerts':
      return get('alerts', params as Params['alerts']);
    case 'tensorboards':
      return get('tensorboards');
    case 'notebook':
      return get('notebooks', params as Params['notebook']);
    case 'sweep':
      return get(`sweeps/${part((params as Params['sweep']).id)}`);
    case 'configVersions':
      return get(`configs/${(params as Params['configVersions']).id}/versions`);
    case 'project':
      return get(`projects/${(params as Params['project']).id}/detail`);
    case 'projectDeletion':
      return {
        verb: 'POST',
        path: `projects/${(params as Params['project']).id}/delete`,
        body: { dry_run: true },
      };
    case 'dataset': {
      const { id, ...rest } = params as Params['dataset'];
      return get(`datasets/${id}/detail`, rest);
    }
    case 'datasetImages': {
      const { id, ...rest } = params as Params['datasetImages'];
      return get(`datasets/${id}/images`, { ...rest });
    }
    case 'audit':
      return get(`datasets/${(params as Params['audit']).id}/audit`);
    case 'problems': {
      const { id, leak, ...rest } = params as Params['problems'];
      return get(`datasets/${id}/problems`, { ...rest, leak: leak === undefined ? leak : Number(leak) });
    }
    case 'map':
      return get(`datasets/${(params as Params['map']).id}/map`);
    case 'revisions':
      return get(`datasets/${(params as Params['revisions']).id}/revisions`);
    case 'revision': {
      const { id, number, ...rest } = params as Params['revision'];
      return get(`datasets/${id}/revisions/${number}`, rest);
    }
    case 'correctionsSince':
      return get(`runs/${part((params as Params['correctionsSince']).id)}/corrections`);
    case 'lineage':
      return get(`runs/${part((params as Params['lineage']).id)}/lineage`);
    case 'forkPreview': {
      const { id, ...body } = params as Params['forkPreview'];
      return { verb: 'POST', path: `runs/${part(id)}/fork/preview`, body };
    }
    case 'verification':
      return get(`runs/${part((params as Params['verification']).id)}/verification`);
    case 'bisection': {
      const { id, against } = params as Params['bisection'];
      return get(`runs/${part(id)}/bisection`, { against });
    }
    case 'inference':
      return get('inference');
    case 'job':
      return get(`jobs/${part((params as Params['job']).id)}`);
    case 'folderAt':
      return get('folders/at', params as Params['folderAt']);
    case 'cachedModels':
      return get('models/cached');
    case 'folders':
      return get('folders', params as Params['folders']);
    default:
      return get(kind);
  }
}

/** Where each command goes. */
function commandCall(name: Command, args: unknown): Call {
  switch (name) {
    case 'submit':
      return { verb: 'POST', path: 'runs', body: args };
    case 'submitReplicates':
      return { verb: 'POST', path: 'runs/replicates', body: args };
    case 'runNotebook':
      return { verb: 'POST', path: 'notebooks', body: args };
    case 'sweep':
      return { verb: 'POST', path: 'sweeps', body: args };
    case 'trial':
      return { verb: 'POST', path: 'configs/trial', body: args };
    case 'resume': {
      const { id, config } = args as Args['resume'];
      return { verb: 'POST', path: `runs/${part(id)}/resume`, ...(config && { body: { config } }) };
    }
    case 'claim': {
      const { id, digest } = args as Args['claim'];
      return { verb: 'POST', path: `runs/${part(id)}/claim`, body: { digest } };
    }
    case 'retrain': {
      const { id, ...body } = args as Args['retrain'];
      return { verb: 'POST', path: `runs/${part(id)}/retrain`, body };
    }
    case 'fork': {
      const { id, ...body } = args as Args['fork'];
      return { verb: 'POST', path: `runs/${part(id)}/fork`, body };
    }
    case 'bisect': {
      const { id, ...body } = args as Args['bisect'];
      return { verb: 'POST', path: `runs/${part(id)}/bisection`, body };
    }
    case 'verify': {
      const { id, ...body } = args as Args['verify'];
      return { verb: 'POST', path: `runs/${part(id)}/verification`, body };
    }
    case 'change': {
      const { id, ...body } = args as Args['change'];
      return { verb: 'POST', path: `runs/${part(id)}/changes`, body };
    }
    case 'predict': {
      const { id, name: file_name, file } = args as Args['predict'];
      return { verb: 'POST', path: `runs/${part(id)}/predict`, query: { name: file_name }, file };
    }
    case 'checkpoints.delete': {
      const { id, name: checkpoint } = args as Args['checkpoints.delete'];
      return { verb: 'DELETE', path: `runs/${part(id)}/checkpoints/${part(checkpoint)}` };
    }
    case 'runs.deleteMany':
      return { verb: 'POST', path: 'runs/delete', body: args };
    case 'runs.act':
      return { verb: 'POST', path: 'runs/actions', body: args };
    case 'runs.editMany':
      return { verb: 'PATCH', path: 'runs', body: args };
    case 'stop':
    case 'kill':
      return { verb: 'POST', path: `runs/${part((args as { id: string }).id)}/${name}` };
    case 'demo':
      return { verb: 'POST', path: 'demo' };
    case 'executor.start':
    case 'executor.stop':
      return { verb: 'POST', path: name.replace('.', '/') };
    case 'storage.free':
    case 'alerts.dismiss':
    case 'alerts.restore':
      return { verb: 'POST', path: name.replace('.', '/'), body: args };
    case 'tensorboards.open':
      return { verb: 'POST', path: 'tensorboards', body: args };
    case 'tensorboards.choose': {
      const { id, run_ids } = args as Args['tensorboards.choose'];
      return { verb: 'PUT', path: `tensorboards/${part(id)}/runs`, body: { run_ids } };
    }
    case 'tensorboards.stop':
    case 'tensorboards.restart':
      return {
        verb: 'POST',
        path: `tensorboards/${part((args as { id: string }).id)}/${name.split('.')[1]}`,
      };
    case 'models.register':
      return { verb: 'POST', path: 'models/checkpoints', body: args };
    case 'export':
      return { verb: 'POST', path: 'exports', body: args };
    case 'datasets.rescan':
      return { verb: 'POST', path: `datasets/${part((args as { id: number }).id)}/rescan` };
    case 'audits.start': {
      const { id, request } = args as Args['audits.start'];
      return { verb: 'POST', path: `datasets/${id}/audit`, body: request };
    }
    case 'audits.cancel':
      return { verb: 'DELETE', path: `datasets/${(args as Args['audits.cancel']).id}/audit` };
    case 'revisions.add': {
      const { id, edit } = args as Args['revisions.add'];
      return { verb: 'POST', path: `datasets/${id}/revisions`, body: edit };
    }
    case 'revisions.undo': {
      const { id, number } = args as Args['revisions.undo'];
      return { verb: 'POST', path: `datasets/${id}/revisions/${number}/undo` };
    }
    case 'configs.restore': {
      const { id, number } = args as Args['configs.restore'];
      return { verb: 'POST', path: `configs/${id}/versions/${number}/restore` };
    }
    case 'projects.join': {
      const { id, user } = args as Args['projects.join'];
      return { verb: 'POST', path: `projects/${part(id)}/members`, body: { user } };
    }
    case 'projects.leave': {
      const { id, user } = args as Args['projects.leave'];
      return { verb: 'DELETE', path: `projects/${part(id)}/members/${part(user)}` };
    }
    case 'projects.export': {
      const { id, ...body } = args as Args['projects.export'];
      return { verb: 'POST', path: `projects/${id}/export`, body };
    }
    case 'archives.upload': {
      const { name: file_name, file } = args as Args['archives.upload'];
      return { verb: 'POST', path: 'archives', query: { name: file_name }, file };
    }
    case 'archives.import':
      return { verb: 'POST', path: 'archives/import', body: args };
    case 'jobs.cancel':
      return { verb: 'DELETE', path: `jobs/${part((args as Args['jobs.cancel']).id)}` };
    case 'projects.deleteAll':
      return { verb: 'POST', path: `projects/${(args as Args['projects.deleteAll']).id}/delete` };
    default: {
      const [registry, verb] = name.split('.') as [string, 'add' | 'edit' | 'delete'];
      const { id, edit } = args as { id: string | number; edit?: unknown };
      if (verb === 'add') return { verb: 'POST', path: registry, body: edit };
      const path = `${registry}/${part(id)}`;
      return verb === 'edit' ? { verb: 'PATCH', path, body: edit } : { verb: 'DELETE', path };
    }
  }
}

/** Where each picture is. */
function pictureCall(request: PictureRequest): Call {
  const get = (path: string, query: Call['query']): Call => ({ verb: 'GET', path, query });
  const image = part(request.image);
  switch (request.kind) {
    case 'dataset':
      return get(`datasets/${request.id}/images/${image}/thumbnail`, { size: request.size });
    case 'run':
      return get(`runs/${part(request.id)}/images/${image}/thumbnail`, { size: request.size });
    case 'cam':
      return get(`runs/${part(request.id)}/images/${image}/cam`, {
        class: request.class,
        size: request.size,
      });
    case 'input': {
      const { augmented, seed } = request;
      return get(`runs/${part(request.id)}/images/${image}/input`, {
        augmented: Number(augmented ?? 0),
        seed,
      });
    }
    case 'versions': {
      const { config, number, seed } = request;
      return { verb: 'POST', path: `datasets/${request.id}/versions`, body: { config, number, seed } };
    }
    case 'tried':
      return get(`tried/${image}/cam`, { class: request.class, size: request.size });
  }
}

/** What a command was, for whom it is noted: called with the server's answer, or without one where it was refused. */
export type Noted = (reply?: unknown) => void;

export class ServerSource implements Source {
  /** Called before each command is sent; what it gives is told the outcome. */
  beforeCommand: ((call: Call) => Promise<Noted | undefined>) | null = null;
  readonly #settings: ServerConnection.ISettings;
  readonly #stream: Stream;

  constructor(settings: ServerConnection.ISettings) {
    this.#settings = settings;
    this.#stream = new Stream(() => {
      let url = URLExt.join(settings.wsUrl, PREFIX, 'stream');
      if (settings.appendToken && settings.token) url += `?token=${encodeURIComponent(settings.token)}`;
      return new settings.WebSocket(url);
    });
    window.addEventListener('online', this.#stream.hurry);
    document.addEventListener('visibilitychange', () => document.hidden || this.#stream.hurry());
  }

  async query<K extends Query>(kind: K, params: Params[K], signal: AbortSignal): Promise<Result[K]> {
    return (await this.#call(queryCall(kind, params), signal)) as Result[K];
  }

  async image(request: PictureRequest, signal: AbortSignal): Promise<Blob> {
    return (await this.#send(pictureCall(request), signal)).blob();
  }

  /** The browser sends its cookie; a token goes along where requests carry one, as with Jupyter's own downloads. */
  fileAddress(id: string, file: string): string {
    return this.#address('runs', part(id), 'files', part(file));
  }

  archiveAddress(name: string): string {
    return this.#address('archives', part(name));
  }

  #address(...parts: string[]): string {
    const { baseUrl, appendToken, token } = this.#settings;
    const url = URLExt.join(baseUrl, PREFIX, ...parts);
    return appendToken && token ? `${url}?token=${encodeURIComponent(token)}` : url;
  }

  subscribe<T extends Topic>(
    topic: T,
    onBatch: (batch: BatchOf[T['kind']]) => void,
    onState: (connection: ConnectionState) => void,
    signal: AbortSignal,
  ): void {
    this.#stream.subscribe(topic, onBatch, onState, signal);
  }

  async command<K extends Command>(
    name: K,
    args: Args[K],
    signal?: AbortSignal,
    onSent?: (bytes: number) => void,
  ): Promise<Reply[K]> {
    const call = commandCall(name, args);
    const note = await this.beforeCommand?.(call);
    try {
      const reply = await this.#call(call, signal, onSent);
      note?.(reply ?? null);
      return reply as Reply[K];
    } catch (error) {
      note?.();
      throw error;
    }
  }

  async #call(call: Call, signal?: AbortSignal, onSent?: (bytes: number) => void): Promise<unknown> {
    const response = await this.#send(call, signal, onSent);
    return response.status === 204 ? undefined : response.json();
  }

  /** The answer to a call. Rejects with the server's sentence if it refuses. */
  async #send(
    { verb, path, query, body, file }: Call,
    signal?: AbortSignal,
    onSent?: (bytes: number) => void,
  ): Promise<Response> {
    const search = new URLSearchParams();
    for (const [name, value] of Object.entries(query ?? {})) {
      if (value === undefined) continue;
      for (const item of Array.isArray(value) ? value : [value]) search.append(name, String(item));
    }
    const text = search.toString();
    const url = URLExt.join(this.#settings.baseUrl, PREFIX, path) + (text ? `?${text}` : '');
    const init: RequestInit = { method: verb, signal };
    if (verb !== 'GET' && verb !== 'DELETE') init.body = file ?? JSON.stringify(body ?? {});
    let response: Response;
    try {
      const settings = file && onSent ? { ...this.#settings, fetch: sending(file, onSent) } : this.#settings;
      response = await ServerConnection.makeRequest(url, init, settings);
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new SourceError(
        'The Jupyter server does not answer. Runs go on; this page shows them again when it is back.',
      );
    }
    if (response.ok) return response;
    throw await refusal(response);
  }
}

/** The server's sentence, or one that says what its status means. */
async function refusal(response: Response): Promise<SourceError> {
  const reply = (await response.json().catch(() => null)) as Partial<ErrorReply> | null;
  const fallback =
    response.status === 404
      ? 'The server extension of imgcls-lab is not enabled here. Run: jupyter server extension enable imgcls_lab'
      : `The server answered with an error (${response.status}).`;
  return new SourceError(reply?.message || fallback, response.status, reply?.problems ?? []);
}
