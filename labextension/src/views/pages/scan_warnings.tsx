// What the scan of a run's images found that makes its metrics look better than they are, or that it left out.
import { useQuery } from '../data/use_query';
import type { RunDetail } from '../data/types';
import { plural } from '../ui/format';
import { useNavigate } from '../ui/navigation';
import { LeftOut } from './left_out';
import '../ui/button.css';
import './scan_warnings.css';

/** The part of a manifest that tells of the data. */
interface ScannedData {
  quarantined?: Record<string, string>;
  duplicates?: { exact?: number; near?: number; across_classes?: number };
  shared_groups?: number;
}

/** One sentence for each thing that the scan found; images that cannot be read have a list of their own. */
export function scanSentences({ duplicates = {}, shared_groups = 0 }: ScannedData): string[] {
  const { exact = 0, near = 0, across_classes: across = 0 } = duplicates;
  const found: [number, string][] = [
    [
      exact,
      `${plural(exact, 'image')} of validation or test ${exact === 1 ? 'is a copy' : 'are copies'} of training images`,
    ],
    [
      near,
      `${plural(near, 'image')} of validation or test ${near === 1 ? 'looks' : 'look'} like training images`,
    ],
    [across, `${plural(across, 'image')} ${across === 1 ? 'lies' : 'lie'} under two classes`],
    [
      shared_groups,
      `${plural(shared_groups, 'group')} of images ${shared_groups === 1 ? 'is' : 'are'} in several splits`,
    ],
  ];
  return found.filter(([number]) => number > 0).map(([, sentence]) => sentence);
}

export function ScanWarnings({ run }: { run: RunDetail }) {
  const navigate = useNavigate();
  const { data: datasets } = useQuery('datasets', {});
  const data = (run.manifest?.data ?? {}) as ScannedData;
  const sentences = scanSentences(data);
  const unreadable = data.quarantined ?? {};
  if (sentences.length === 0 && Object.keys(unreadable).length === 0) return null;
  const dataset = datasets?.find(item => item.id === run.dataset_id || item.root === run.root);
  return (
    <div className="imgcls-scan" role="note" aria-label="What the scan of the images found">
      {sentences.length > 0 && <span className="imgcls-scan-found">{sentences.join(' · ')}</span>}
      <LeftOut reasons={unreadable} />
      {dataset && (
        <button
          type="button"
          className="imgcls-plain"
          onClick={() => navigate({ view: 'dataset', id: dataset.id, tab: 'Problems' })}
        >
          Problems of {dataset.name}
        </button>
      )}
    </div>
  );
}
