// The options that hold for all charts of a page or a cell: axis, log scale and smoothing.
import { useId, useState, type ReactNode } from 'react';
import type { Axis } from '../data/asked';
import { CELL_SMOOTHING } from '../data/types';
import './inputs.css';
import './toolbar.css';

export interface ChartOptions {
  axis: Axis;
  log: boolean;
  smoothing: number;
}

export const useChartOptions = () =>
  useState<ChartOptions>({ axis: 'step', log: false, smoothing: CELL_SMOOTHING });

/** Axis, log scale and smoothing. */
export function CurveTools({
  options,
  onChange,
  children,
}: {
  options: ChartOptions;
  onChange: (options: ChartOptions) => void;
  /** Further choices, at the end of the row. */
  children?: ReactNode;
}) {
  const id = useId();
  return (
    <div className="imgcls-tools">
      <label htmlFor={`${id}-axis`}>over</label>
      <select
        id={`${id}-axis`}
        className="imgcls-small"
        value={options.axis}
        onChange={e => onChange({ ...options, axis: e.target.value as Axis })}
      >
        <option value="step">step</option>
        <option value="epoch">epoch</option>
        <option value="time">time</option>
      </select>
      <label>
        <input
          type="checkbox"
          checked={options.log}
          onChange={e => onChange({ ...options, log: e.target.checked })}
        />
        log scale
      </label>
      <label htmlFor={`${id}-smooth`}>smoothing</label>
      <input
        id={`${id}-smooth`}
        type="range"
        min={0}
        max={0.95}
        step={0.05}
        value={options.smoothing}
        onChange={e => onChange({ ...options, smoothing: Number(e.target.value) })}
      />
      <span className="imgcls-num imgcls-tools-value">{options.smoothing.toFixed(2)}</span>
      {children}
    </div>
  );
}
