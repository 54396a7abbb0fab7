// What goes into the requests of a source, where more than one of them or a view needs its name: which runs, which
// images, which picture.
import type {
  ConfigEdit,
  Config,
  DatasetEdit,
  Dataset,
  EvaluatedQuery,
  ModelEdit,
  Model,
  Problem,
  ProjectEdit,
  Project,
  RunState,
} from './types';

export type TrainConfig = Record<string, unknown>;
export type Axis = 'step' | 'epoch' | 'time';

export interface RunsQuery {
  project?: number;
  states?: RunState[];
  /** A query: `lr>1e-3 state=succeeded best>90%`, or words to look for. */
  where?: string;
  owner?: string;
  /** What the list can be sorted by: created_at, ended_at, name, best ... */
  sort?: string;
  order?: 'asc' | 'desc';
  limit?: number;
  offset?: number;
  /** What each run has besides in its `values`: fields of its config, metrics. */
  columns?: string[];
  /** 1: each run has the small curve of the metric that it watches. */
  curves?: 0 | 1;
}

export interface SeriesQuery {
  run_ids: string[];
  tags?: string[];
  axis?: Axis;
  low?: number;
  high?: number;
  max_points?: number;
}

/** Which images of a data set, and in which order. */
export interface DatasetImagesQuery {
  id: number;
  split?: string;
  label?: string;
  q?: string;
  sort?: string;
  order?: 'asc' | 'desc';
  offset?: number;
  limit?: number;
  revision?: number;
}

export interface ProblemsQuery {
  id: number;
  kind?: Problem['kind'];
  leak?: boolean;
  offset?: number;
  limit?: number;
}

/** A picture of a data set or of a run, by the SHA-256 of the image's file. */
export type PictureOf =
  { kind: 'dataset'; id: number; image: string } | { kind: 'run'; id: string; image: string };

/** A picture that a source is asked for: a thumbnail of at most `size` pixels, Grad-CAM, or what the model sees. */
export type PictureRequest =
  | (PictureOf & { size: number })
  | { kind: 'cam'; id: string; image: string; class?: number; size?: number }
  | { kind: 'input'; id: string; image: string; augmented?: boolean; seed?: number }
  /** An image of a data set, the `number`th of some, as a training would see it in nine epochs. */
  | { kind: 'versions'; id: number; image: string; config: TrainConfig; number: number; seed: number }
  /** Grad-CAM of an image that was dropped to try a model. */
  | { kind: 'tried'; image: string; class?: number; size?: number };

/** An evaluation of a run: of an epoch on val/, the best at first, or of the best model on test/. */
export interface EvaluationQuery {
  id: string;
  split?: 'val' | 'test';
  epoch?: number;
}

/** Which images of an evaluation of a run, or of its training set, and in which order. */
export type RunImagesQuery = { id: string } & {
  [K in keyof EvaluatedQuery]?: NonNullable<EvaluatedQuery[K]>;
};

/** The four registries: what a list shows of an item, and what one may set. */
export interface Registries {
  projects: { item: Project; edit: ProjectEdit };
  configs: { item: Config; edit: ConfigEdit };
  datasets: { item: Dataset; edit: DatasetEdit };
  models: { item: Model; edit: ModelEdit };
}
export type RegistryName = keyof Registries;
