// One picture for a view, for as long as the view is there.
import { useCallback, useSyncExternalStore } from 'react';
import { picturesOf, type Picture } from '../data/pictures';
import type { PictureRequest } from '../data/asked';
import { useSource } from '../data/source';

const NONE: Picture = {};
const nothing = (): (() => void) => () => undefined;

/** The picture that is asked for; null: none. */
export function usePicture(request: PictureRequest | null): Picture {
  const store = picturesOf(useSource());
  const key = request && JSON.stringify(request);
  const subscribe = useCallback(
    (changed: () => void) => (key ? store.show(JSON.parse(key) as PictureRequest, changed) : nothing()),
    [store, key],
  );
  return useSyncExternalStore(subscribe, () => (request ? store.picture(request) : NONE));
}
