// That actions are recorded, where they go, and the switch. Nothing where the host records none.
import { useSyncExternalStore } from 'react';
import { Button } from '../ui/button';
import { useHost, type Recorder, type RecorderState } from '../ui/host';
import { Problem } from '../ui/messages';
import './recorder_line.css';
import './sidebar_section.css';

const OFF: RecorderState = { recording: false, notebook: '', cells: 0, problem: '' };
const listenToNone = () => () => undefined;

function useRecorder(recorder: Recorder | undefined): RecorderState {
  return useSyncExternalStore(recorder?.listen ?? listenToNone, recorder?.current ?? (() => OFF));
}

/** Below the panel's head while it records, and why it has ended where nobody ended it. */
export function RecorderLine() {
  const { recorder } = useHost();
  const { recording, notebook, cells, problem } = useRecorder(recorder);
  if (!recorder || (!recording && !problem)) return null;
  if (!recording)
    return (
      <div className="imgcls-row">
        <Problem>{problem}</Problem>
      </div>
    );
  return (
    <div className="imgcls-recording" role="status" aria-label="Recording">
      <span className="imgcls-record-dot" aria-hidden="true" />
      <span className="imgcls-recording-text">
        Recording into <b className="imgcls-recording-file">{notebook}</b>
        <span className="imgcls-muted">
          {' · '}
          {cells === 0 ? 'no action yet' : `${cells} ${cells === 1 ? 'cell' : 'cells'}`}
        </span>
      </span>
      <Button onClick={recorder.toggle}>Stop</Button>
    </div>
  );
}

/** The switch in the panel's head. */
export function RecorderSwitch() {
  const { recorder } = useHost();
  const { recording } = useRecorder(recorder);
  if (!recorder) return null;
  return (
    <button
      type="button"
      className="imgcls-plain imgcls-record-switch"
      aria-pressed={recording}
      title="Write what you do here as Python into the notebook that you used last"
      onClick={recorder.toggle}
    >
      <span className={recording ? 'imgcls-record-dot' : 'imgcls-record-ring'} aria-hidden="true" />
      Record
    </button>
  );
}

/** In a status bar, while it records. `label`: in the user's language. */
export function RecorderStatus({ recorder, label, title, onOpen }: RecorderStatusProps) {
  const { recording, notebook } = useRecorder(recorder);
  if (!recording) return null;
  return (
    <button type="button" className="imgcls-status" title={`${title} ${notebook}`} onClick={onOpen}>
      <span className="imgcls-record-dot" aria-hidden="true" />
      <span>{label}</span>
    </button>
  );
}

interface RecorderStatusProps {
  recorder: Recorder;
  label: string;
  /** What stands before the notebook's name. */
  title: string;
  onOpen: () => void;
}
