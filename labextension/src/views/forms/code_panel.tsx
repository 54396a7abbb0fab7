// The launch as Python and as a command, to copy or to insert into a notebook.
import { useState } from 'react';
import { messageOf } from '../data/source';
import { Button } from '../ui/button';
import { useHost } from '../ui/host';
import { Problem } from '../ui/messages';
import { Tabs } from '../ui/tabs';
import { asPython, asShell, type Launch } from './as_code';
import type { Layout } from './config_form';
import './code_panel.css';

const LANGUAGES = ['Python', 'Shell'] as const;

export function CodePanel({ layout, launch }: { layout: Layout; launch: Launch }) {
  const host = useHost();
  const [language, setLanguage] = useState<(typeof LANGUAGES)[number]>('Python');
  const [said, setSaid] = useState('');
  const [error, setError] = useState<string | null>(null);
  const code = language === 'Python' ? asPython(layout, launch) : asShell(layout, launch);
  const act = (work: () => Promise<void>, done: string) => {
    setError(null);
    setSaid('');
    work().then(
      () => setSaid(done),
      problem => setError(messageOf(problem)),
    );
  };
  return (
    <div className="imgcls-code" role="group" aria-label="The same as code">
      <Tabs label="Language" names={LANGUAGES} open={language} onOpen={setLanguage}>
        <pre tabIndex={0} aria-label={`The launch in ${language}`}>
          {code}
        </pre>
      </Tabs>
      <div className="imgcls-buttons">
        <Button onClick={() => act(() => copy(code), 'Copied.')}>Copy</Button>
        {host.insertCell && language === 'Python' && (
          <Button onClick={() => act(() => host.insertCell!(code), 'Inserted below the active cell.')}>
            Insert as a cell
          </Button>
        )}
        <span className="imgcls-note" role="status">
          {said}
        </span>
      </div>
      <Problem>{error}</Problem>
    </div>
  );
}

/** On plain http a browser gives no clipboard to pages. */
async function copy(text: string): Promise<void> {
  if (!navigator.clipboard)
    throw new Error('This browser lets no page copy over plain http: select the text, then Ctrl C.');
  await navigator.clipboard.writeText(text);
}
