// What stands in the place of a page whose data is not there: that it is read, why it cannot be, or that it is gone. And
// the title that a page gives its tab.
import { useEffect, type ReactNode } from 'react';
import { Button } from './button';
import { Problem } from './messages';
import './layout.css';

/** What a host gives the page of one thing. */
export interface PageProps {
  onTitle?: (title: string) => void;
  /** Closes the page, where the host can. */
  onClose?: () => void;
}

/** Give the tab the name of what its page shows, once that is known. */
export function useTitle(name: string | undefined, onTitle: PageProps['onTitle']): void {
  useEffect(() => {
    if (name) onTitle?.(name);
  }, [name, onTitle]);
}

/** Of a thing that was deleted. `children`: the sentence. */
export const Gone = ({ children, onClose }: { children: ReactNode; onClose: PageProps['onClose'] }) => (
  <div className="imgcls-empty">
    <p className="imgcls-muted">{children}</p>
    {onClose && <Button onClick={onClose}>Close this tab</Button>}
  </div>
);

interface UnreadProps {
  error: string | null;
  reload: () => void;
  /** What is said while it is read. */
  pending: string;
}

/** Of a thing whose data has not come. */
export const Unread = ({ error, reload, pending }: UnreadProps) =>
  error ? (
    <div className="imgcls-empty">
      <Problem>{error}</Problem>
      <Button onClick={reload}>Try again</Button>
    </div>
  ) : (
    <p className="imgcls-empty imgcls-muted">{pending}</p>
  );
