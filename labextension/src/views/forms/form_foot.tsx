// The foot of the form of a new run: Launch, what keeps it from being launched, and what else becomes of its config.
import { useState } from 'react';
import type { Config } from '../data/types';
import { Button } from '../ui/button';
import { Problem } from '../ui/messages';
import type { Launch } from './as_code';
import { CodePanel } from './code_panel';
import type { Draft, Layout } from './config_form';
import { LaunchButton } from './launch';
import { summaryOf } from './preflight';
import { SaveConfig } from './save_config';
import type { Check } from './use_check';
import './form.css';

/** What is left to do before the form can be launched. */
export function nextStep({ valid, answered }: Check, draft: Draft): string | null {
  if (valid || !answered) return null;
  if (!draft.root) return 'Choose a data set, then launch.';
  return draft.model_flavour ? 'Correct what is marked, then launch.' : 'Choose a model, then launch.';
}

interface FootProps {
  layout: Layout;
  check: Check;
  launch: Launch;
  step: string | null;
  busy: boolean;
  ready: boolean;
  error: string | null;
  project: number | null;
  configs: Config[];
}

export function FormFoot({ layout, check, launch, step, busy, ready, error, project, configs }: FootProps) {
  const [saving, setSaving] = useState(false);
  const [coding, setCoding] = useState(false);
  const [saved, setSaved] = useState<{ title: string; config: string } | null>(null);
  const text = JSON.stringify(check.config);
  const summary = summaryOf(check.reply);
  return (
    <>
      <Problem>{error ?? check.general ?? check.error}</Problem>
      {saving && (
        <SaveConfig
          config={check.config}
          project={project}
          existing={configs}
          onDone={title => {
            setSaving(false);
            setSaved({ title, config: text });
          }}
          onCancel={() => setSaving(false)}
        />
      )}
      {coding && <CodePanel {...{ layout, launch }} />}
      <div className="imgcls-buttons imgcls-form-foot">
        <LaunchButton busy={busy} disabled={!ready} />
        {!saving && (
          <Button disabled={!check.readable} onClick={() => setSaving(true)}>
            Save config…
          </Button>
        )}
        <Button aria-expanded={coding} disabled={!check.readable} onClick={() => setCoding(was => !was)}>
          As code
        </Button>
        {saved?.config === text && <span className="imgcls-note">Saved as “{saved.title}”.</span>}
        {step ? (
          <span className="imgcls-note">{step}</span>
        ) : (
          summary && <span className="imgcls-note imgcls-form-summary">{summary}</span>
        )}
      </div>
    </>
  );
}
