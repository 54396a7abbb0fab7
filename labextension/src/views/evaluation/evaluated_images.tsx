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

export function EvaluatedImages({ id, view, filter, images, corrections, onFilter, onOpen }: Props) {
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
          label={filter.label}
          predicted={filter.predicted}
          onCell={(label, predicted) => onFilter(ofCell(filter, label, predicted))}
          onClass={label => onFilter({ ...filter, label, predicted: undefined })}
        />
        <ImagesCard {...{ id, view, filter, images, corrections, onOpen }} />
      </div>
    </>
  );
}
