// A view whose code is a file of its own, which the browser fetches when the view is first shown.
import { useEffect, useState, type ComponentType } from 'react';
import { Button } from './button';
import { Problem } from './messages';
import './layout.css';

/** `load` is asked again by a button where the file did not come. */
export function lazyView<P extends object>(load: () => Promise<ComponentType<P>>): ComponentType<P> {
  let loaded: ComponentType<P> | null = null;
  return function LazyView(props: P) {
    const [, setRound] = useState(0);
    const [failed, setFailed] = useState(false);
    useEffect(() => {
      if (loaded || failed) return;
      let shown = true;
      load().then(
        view => {
          loaded = view;
          if (shown) setRound(n => n + 1);
        },
        () => shown && setFailed(true),
      );
      return () => void (shown = false);
    }, [failed]);
    const View = loaded;
    if (View) return <View {...props} />;
    return failed ? (
      <div className="imgcls-empty">
        <Problem>This page could not be loaded from the server.</Problem>
        <Button onClick={() => setFailed(false)}>Try again</Button>
      </div>
    ) : (
      <p className="imgcls-empty imgcls-muted">Loading the page…</p>
    );
  };
}
