// The metrics of an evaluation, and its images beside the confusion matrix: in the page of a run and in a cell.
import type { EvaluatedImage, EvaluatedPage, Evaluation } from '../data/types';
import type { Pages } from '../data/use_pages';
import { ConfusionCard } from './confusion_card';
import type { Corrections } from './corrections';
import { Figures } from './figures';
import { FilterBar } from './filter_bar';
import { ofCell, type ImageFilter } from './filter';
import { ImagesCard } from './images_card';
import './evaluated_images.css';

interface Props {
  id: string;
  view: Evaluation;
  filter: ImageFilter;
  images: Pages<EvaluatedImage> & { reply: EvaluatedPage | undefined };
  corrections: Corrections | null;
  onFilter: (filter: ImageFilter) => void;
  onOpen?: (place: number) => void;
}

/** What the grid shows, in words. */
function titleOf({ label, predicted, show }: ImageFilter): string {
  if (label !== undefined && predicted !== undefined) return `True ${label}, predicted ${predicted}`;
  const what = {
    all: 'Images',
    mistakes: 'Mistakes',
    confident_mistakes: 'Most confident mistakes',
    unsure: 'Low confidence',
  };
  if (label !== undefined) return `${what[show]} of ${label}`;
  return predicted === undefined ? what[show] : `${what[show]} taken for ${predicted}`;
}

export function EvaluatedImages({ id, view, filter, images, corrections, onFilter, onOpen }: Props) {
  const { label, predicted } = filter;
  const taken = label === undefined || label === predicted ? undefined : predicted;
  return (
    <>
      <Figures view={view} />
      {view.notes.map(note => (
        <p key={note} className="imgcls-note">
          {note}
        </p>
      ))}
      <FilterBar view={view} counts={images.reply?.counts} filter={filter} onChange={onFilter} />
      <div className="imgcls-evaluation-images">
        <ConfusionCard
          view={view}
          {...{ label, predicted }}
          onCell={(row, column) => onFilter(ofCell(filter, row, column))}
          onClass={name => onFilter({ ...filter, label: name, predicted: undefined })}
        />
        <ImagesCard {...{ id, view, taken, images, corrections, onOpen }} title={titleOf(filter)} />
      </div>
    </>
  );
}
