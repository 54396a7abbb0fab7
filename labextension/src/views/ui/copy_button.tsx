// A button that copies a text, and says beside it whether it could: a browser allows it on secure pages alone.
import { useState } from 'react';
import { Button } from './button';

export function CopyButton({ text, label = 'Copy' }: { text: () => string; label?: string }) {
  const [said, setSaid] = useState('');
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text());
      setSaid('copied');
    } catch {
      setSaid('the browser does not let this page copy: select the text instead');
    }
  };
  return (
    <>
      <Button onClick={() => void copy()}>{label}</Button>
      <span className="imgcls-note" role="status">
        {said}
      </span>
    </>
  );
}
