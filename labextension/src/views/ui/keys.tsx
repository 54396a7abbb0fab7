// A key as a reader presses it, beside what it does.
import type { ReactNode } from 'react';
import './keys.css';

export const Key = ({ children }: { children: ReactNode }) => <kbd className="imgcls-kbd">{children}</kbd>;

/** Keys and what they do: `[['X', 'exclude'], ['↵', 'open']]`. */
export const Keys = ({ of }: { of: readonly (readonly [key: string, does: string])[] }) => (
  <span className="imgcls-keys">
    {of.map(([key, does]) => (
      <span key={key}>
        <Key>{key}</Key> {does}
      </span>
    ))}
  </span>
);
