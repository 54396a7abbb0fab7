// Problems of single images: those of quality and outliers as a grid, files that no run reads as a list of reasons.
import { useState } from 'react';
import type { Image, Problem } from '../data/types';
import { useMappedPages, usePages } from '../data/use_pages';
import { useOnChange } from '../data/use_runs';
import { count } from '../ui/format';
import { VirtualList } from '../ui/virtual_list';
import { DatasetGrid, placeOf } from './dataset_grid';
import { ProblemCard, type CardProps } from './problem_card';
import '../ui/inputs.css';
import '../ui/toolbar.css';
import './problem_images.css';

type Kind = Problem['kind'];
export const KIND_TITLES: Record<Kind, string> = {
  unreadable: 'unreadable',
  not_taken: 'not taken',
  copy: 'copies',
  look_alike: 'look-alikes',
  near_duplicate: 'much alike to a model',
  dark: 'dark',
  bright: 'bright',
  blurred: 'blurred',
  low_information: 'little in them',
  odd_size: 'odd size',
  odd_shape: 'odd shape',
  greyscale: 'grey among coloured',
  label_error: 'label errors',
  outlier: 'outliers',
};

const imageOf = (problem: Problem): Image => problem.images[0]!;

interface GridProps extends CardProps {
  title: string;
  /** Those that have problems, in their order. */
  kinds: readonly Kind[];
}

export function ImagesCard({ dataset, draft, audit, title, kinds }: GridProps) {
  const there = kinds.filter(kind => audit.counts[kind]);
  const [chosen, setChosen] = useState<Kind>();
  const kind = chosen && there.includes(chosen) ? chosen : there[0];
  const problems = usePages('problems', kind ? { id: dataset.id, kind } : null);
  useOnChange(String(kind && audit.counts[kind]), problems.reload);
  const pages = useMappedPages(problems, imageOf);
  if (!kind) return null;
  const total = there.reduce((sum, name) => sum + audit.counts[name]!, 0);
  return (
    <ProblemCard title={title} total={total}>
      <DatasetGrid
        label={`${title}: ${KIND_TITLES[kind]}`}
        {...{ dataset, draft, pages }}
        note={placeOf}
        why={kind}
        edge={88}
        tools={
          there.length > 1 && (
            <select
              className="imgcls-small"
              aria-label={`${title}: which`}
              value={kind}
              onChange={event => setChosen(event.target.value as Kind)}
            >
              {there.map(name => (
                <option key={name} value={name}>
                  {KIND_TITLES[name]} · {count(audit.counts[name]!)}
                </option>
              ))}
            </select>
          )
        }
      />
    </ProblemCard>
  );
}

const ROW = 60; // a name and two lines of its reason
const MOST = 6; // rows in view

export function FilesCard({
  dataset,
  audit,
  title,
  kind,
  foot,
}: CardProps & { title: string; kind: Kind; foot: string }) {
  const pages = usePages('problems', { id: dataset.id, kind });
  useOnChange(String(audit.counts[kind]), pages.reload);
  const { total = 0 } = pages;
  if (total === 0 && !pages.error) return null;
  return (
    <ProblemCard title={title} total={total} error={pages.error}>
      <div style={{ height: Math.min(total, MOST) * ROW }} className="imgcls-files">
        <VirtualList
          label={title}
          total={total}
          rowHeight={ROW}
          onView={pages.need}
          row={index => {
            const problem = pages.at(index);
            const image = problem?.images[0];
            const reason = problem?.reason || image?.problem;
            return (
              problem && (
                <div className="imgcls-file-row">
                  <div className="imgcls-mono imgcls-clip" title={image?.name}>
                    {image?.name}
                  </div>
                  <div className="imgcls-file-reason" title={reason ?? undefined}>
                    {reason}
                  </div>
                </div>
              )
            );
          }}
        />
      </div>
      <p className="imgcls-muted">{foot}</p>
    </ProblemCard>
  );
}
