// Which route a question goes to: a case that falls into the next one would ask for something else.
import { describe, expect, it } from 'vitest';
import { queryCall } from '../../src/lab/server_source';
import type { Query } from '../../src/views/data/requests';

describe('a question about a run goes to its own route', () => {
  it.each<[Query, string]>([
    ['evaluation', 'evaluation'],
    ['curves', 'curves'],
    ['flips', 'flips'],
    ['imageChanges', 'image-changes'],
    ['lineage', 'lineage'],
    ['forkPreview', 'fork/preview'],
    ['verification', 'verification'],
    ['bisection', 'bisection'],
    ['manifest', 'manifest'],
    ['codeChanges', 'code'],
    ['report', 'report'],
    ['staticCell', 'cell'],
    ['runFiles', 'files'],
    ['log', 'log'],
    ['logSearch', 'log/search'],
    ['startPhases', 'starts'],
    ['correctionsSince', 'corrections'],
  ])('%s', (kind, path) => {
    expect(queryCall(kind, { id: 'a run' }).path).toBe(`runs/a%20run/${path}`);
  });
});
