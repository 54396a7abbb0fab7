// The map of a data set: its images by what a model sees in them. A line around points, a class or a kind of problem
// selects images into the grid beside it.
import { useCallback, useMemo, useRef, useState, useLayoutEffect } from 'react';
import type { DraftRevision } from '../data/draft_revision';
import type { Audit, Dataset, Image, Map as FeatureMap } from '../data/types';
import { usePageOf } from '../data/use_pages';
import { useQuery } from '../data/use_query';
import { Button } from '../ui/button';
import { count, plural } from '../ui/format';
import { Problem } from '../ui/messages';
import { VirtualList } from '../ui/virtual_list';
import { AuditPanel } from './audit_panel';
import { DatasetGrid } from './dataset_grid';
import { classColours } from './map_drawing';
import { MapPoints } from './map_points';
import { MapCanvas, type Mode } from './map_view';
import '../ui/layout.css';
import '../ui/toolbar.css';
import './dataset_map.css';

const ROW = 22;
const NOTHING: Image[] = [];

/** An image as the grid shows it: the map knows no names. */
const imageOf = (map: FeatureMap, position: number): Image => {
  const label = map.classes[map.label[position]!]!;
  const split = map.splits[map.split[position]!]!;
  const image = map.image[position]!;
  return { image, split, label, folder_label: label, name: `${split}/${label} ${image.slice(0, 8)}` };
};

interface LegendProps {
  map: FeatureMap;
  only: number | null;
  onOnly: (label: number | null) => void;
}

/** The classes with their colours; one is looked at alone by a click. */
function Classes({ map, only, onOnly }: LegendProps) {
  const box = useRef<HTMLDivElement>(null);
  const [colours, setColours] = useState<string[]>([]);
  useLayoutEffect(() => setColours(classColours(box.current!, map.classes.length)), [map.classes.length]);
  const counts = useMemo(() => {
    const all = new Uint32Array(map.classes.length);
    for (const label of map.label) all[label]! += 1;
    return all;
  }, [map]);
  return (
    <div ref={box} className="imgcls-map-classes" style={{ height: Math.min(map.classes.length, 16) * ROW }}>
      <VirtualList
        label="Classes of the map"
        total={map.classes.length}
        rowHeight={ROW}
        row={index => (
          <button
            type="button"
            className="imgcls-map-class"
            aria-pressed={only === index}
            onClick={() => onOnly(only === index ? null : index)}
          >
            <i style={{ background: colours[index] }} />
            <span className="imgcls-clip">{map.classes[index]}</span>
            <span className="imgcls-muted imgcls-num">{count(counts[index]!)}</span>
          </button>
        )}
      />
    </div>
  );
}

interface Props {
  dataset: Dataset;
  audit: Audit;
  draft: DraftRevision;
}

function Drawn({ dataset, draft, map }: Omit<Props, 'audit'> & { map: FeatureMap }) {
  const points = useMemo(() => new MapPoints(map), [map]);
  const [mode, setMode] = useState<Mode>('select');
  const [only, setOnly] = useState<number | null>(null);
  const [rings, setRings] = useState<string[]>(() =>
    ['label_error', 'outlier'].filter(kind => map.marked[kind]?.length),
  );
  const [chosen, setChosen] = useState<ReadonlySet<number> | null>(null);
  const choose = useCallback(
    (positions: readonly number[]) => {
      const seen = only === null ? positions : positions.filter(i => map.label[i] === only);
      setChosen(seen.length > 0 ? new Set(seen) : null);
    },
    [map, only],
  );
  const images = useMemo(() => (chosen ? [...chosen].map(i => imageOf(map, i)) : NOTHING), [map, chosen]);
  const pages = usePageOf(images);
  const kinds = Object.keys(map.marked).filter(kind => map.marked[kind]!.length > 0);
  const note = useCallback((image: Image) => image.split, []);
  return (
    <div className="imgcls-stack">
      <div className="imgcls-filters">
        <div className="imgcls-buttons" role="group" aria-label="What dragging does">
          <Button aria-pressed={mode === 'select'} onClick={() => setMode('select')}>
            Draw around images
          </Button>
          <Button aria-pressed={mode === 'move'} onClick={() => setMode('move')}>
            Move
          </Button>
        </div>
        {kinds.map(kind => (
          <label key={kind} className="imgcls-map-ring">
            <input
              type="checkbox"
              checked={rings.includes(kind)}
              onChange={event =>
                setRings(event.target.checked ? [...rings, kind] : rings.filter(other => other !== kind))
              }
            />
            {kind.replaceAll('_', ' ')} {count(map.marked[kind]!.length)}
            <button type="button" className="imgcls-plain" onClick={() => choose(map.marked[kind]!)}>
              select
            </button>
          </label>
        ))}
        <span className="imgcls-spacer" />
        <span className="imgcls-muted imgcls-num">
          {map.method.toUpperCase()} of {map.model} · {plural(map.x.length, 'image')}
        </span>
      </div>
      <div className={`imgcls-map-beside${chosen ? ' imgcls-map-chosen' : ''}`}>
        <MapCanvas datasetId={dataset.id} {...{ map, points, mode, only, rings, chosen }} onChoose={choose} />
        {chosen ? (
          <DatasetGrid
            label="Selected images of the map"
            {...{ dataset, draft, pages, note }}
            edge={80}
            tools={
              <>
                <b className="imgcls-num">{plural(chosen.size, 'image')} on the map</b>
                <Button onClick={() => setChosen(null)}>Show the classes</Button>
              </>
            }
          />
        ) : (
          <Classes {...{ map, only }} onOnly={setOnly} />
        )}
      </div>
      <p className="imgcls-muted">
        Draw around points to see their images, or click one; a class is shown alone by a click. With Shift,
        dragging moves the map.
      </p>
    </div>
  );
}

export function DatasetMap({ dataset, audit, draft }: Props) {
  const { data, error } = useQuery('map', audit.has_map ? { id: dataset.id } : null);
  if (data && audit.has_map) return <Drawn {...{ dataset, draft }} map={data} />;
  return (
    <div className="imgcls-stack">
      <AuditPanel {...{ dataset, audit }} />
      <Problem>{error}</Problem>
      <p className="imgcls-muted">
        {audit.has_map
          ? error
            ? null
            : 'Reading the map…'
          : 'An audit with a model draws the map: images that the model finds alike lie together.'}
      </p>
    </div>
  );
}
