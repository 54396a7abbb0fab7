// Records what the panel does as cells of a notebook. Each command is shown to the server before it is sent, which says
// it in Python: only then are the names of what it deletes still there. The cell is written when the command has worked.
import type { CodeRequest, PythonCode } from '../views/data/types';
import { messageOf } from '../views/data/source';
import type { Recorder, RecorderState } from '../views/ui/host';
import type { Call, Noted } from './server_source';

/** A notebook that gets cells. */
export interface Pad {
  /** Its file's name. */
  name(): string;
  append(code: string): void;
  /** Call `renamed` and `closed` when that happens. */
  follow(renamed: () => void, closed: () => void): void;
}

const IMPORT = 'import imgcls_lab as lab\n\n';
const OFF: RecorderState = { recording: false, notebook: '', cells: 0, problem: '' };

/** What one recording knows: its notebook, and which variable of it holds which run. */
class Recording {
  readonly #variables: Record<string, string> = {};
  readonly #taken = new Set<string>();
  #ended: string[] = [];
  cells = 0;

  constructor(readonly pad: Pad) {}

  request({ verb, path, body }: Call): CodeRequest {
    return {
      verb: verb as CodeRequest['verb'],
      path,
      ...(body !== undefined && { body: body as CodeRequest['body'] }),
      variables: { ...this.#variables },
      taken: [...this.#taken],
      ended: this.#ended,
    };
  }

  /** The code of a launch that is under way: its variable is given to no other. */
  reserve({ variable }: PythonCode): void {
    if (variable) this.#taken.add(variable);
  }

  /** The command has worked, or was refused (`reply` is undefined). */
  settle({ code, variable, ended }: PythonCode, reply: unknown): void {
    this.#taken.delete(variable);
    if (reply === undefined) return;
    if (variable) this.#hold(variable, reply);
    this.#ended = ended;
    this.write(code);
  }

  /** A variable holds the run of an answer, or the list of its runs. */
  #hold(variable: string, reply: unknown): void {
    const held: [unknown, string][] = Array.isArray(reply)
      ? reply.map((run: unknown, place) => [run, `${variable}[${place}]`])
      : [[reply, variable]];
    for (const [run, source] of held) {
      const id = (run as { id?: unknown } | null)?.id;
      if (typeof id === 'string') this.#variables[id] = source;
    }
  }

  write(code: string): void {
    this.pad.append(this.cells === 0 ? IMPORT + code : code);
    this.cells += 1;
  }
}

export class ActionRecorder implements Recorder {
  #state = OFF;
  #recording: Recording | null = null;
  #opening = false;
  #asked: Promise<unknown> = Promise.resolve(); // the question for the code of the command before
  readonly #listeners = new Set<() => void>();

  /** `open`: the notebook that is active, else a new one; rejects with a sentence. */
  constructor(
    private readonly ask: (request: CodeRequest) => Promise<PythonCode>,
    private readonly open: () => Promise<Pad>,
  ) {}

  readonly current = (): RecorderState => this.#state;

  readonly listen = (changed: () => void): (() => void) => {
    this.#listeners.add(changed);
    return () => void this.#listeners.delete(changed);
  };

  readonly toggle = (): void => {
    if (this.#recording) this.#end('');
    else if (!this.#opening) void this.#begin();
  };

  /** What is told the outcome of a command that is about to be sent; undefined: nothing is recorded. */
  readonly before = async (call: Call): Promise<Noted | undefined> => {
    const recording = this.#recording;
    if (!recording || call.file) return undefined;
    const asking = this.#asked.then(() => this.#codeOf(recording, call)); // each knows the variables of those before
    this.#asked = asking;
    const code = await asking;
    if (code === null) return undefined;
    return reply => {
      if (typeof code !== 'string') recording.settle(code, reply);
      else if (reply !== undefined) recording.write(`# An action that could not be recorded: ${code}`);
      this.#tell();
    };
  };

  /** The code of a command; null: there is none; a sentence: why the server did not say it. */
  async #codeOf(recording: Recording, call: Call): Promise<PythonCode | string | null> {
    try {
      const code = await this.ask(recording.request(call));
      if (!code.code) return null;
      recording.reserve(code);
      return code;
    } catch (error) {
      return messageOf(error).replace(/\s+/g, ' ');
    }
  }

  async #begin(): Promise<void> {
    this.#opening = true;
    try {
      const pad = await this.open();
      const recording = new Recording(pad);
      pad.follow(this.#tell, () => {
        if (this.#recording === recording)
          this.#end(`Recording has ended: the notebook ${pad.name()} was closed.`);
      });
      this.#recording = recording;
      this.#tell();
    } catch (error) {
      this.#set({ ...OFF, problem: messageOf(error) });
    } finally {
      this.#opening = false;
    }
  }

  #end(problem: string): void {
    this.#recording = null;
    this.#set({ ...OFF, problem });
  }

  readonly #tell = (): void => {
    const recording = this.#recording;
    if (recording)
      this.#set({ recording: true, notebook: recording.pad.name(), cells: recording.cells, problem: '' });
  };

  #set(state: RecorderState): void {
    this.#state = state;
    for (const changed of this.#listeners) changed();
  }
}
