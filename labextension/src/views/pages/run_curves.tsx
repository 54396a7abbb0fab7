// The tab of a run's curves: its metrics, its charts, and its worst classes.
import { isActive, type RunDetail } from '../data/types';
import { RunMetrics } from '../live/live_run_metrics';
import { CurveTools, useChartOptions } from '../ui/chart_tools';
import { Curves } from './curves';
import { ClassTable } from './class_table';
import { Lineage } from './lineage';
import { useBestReport, whichOf } from './use_report';
import '../ui/layout.css';

export function CurvesTab({ run }: { run: RunDetail }) {
  const [options, setOptions] = useChartOptions();
  const { data: report } = useBestReport(run);
  return (
    <div className="imgcls-stack">
      <RunMetrics run={run} best={report} />
      <Lineage run={run} />
      <CurveTools options={options} onChange={setOptions} />
      <Curves run={run} active={isActive(run.state)} options={options}>
        {report && (
          <section className="imgcls-card">
            <h3>
              Per class · {whichOf(run, report)}
              {report.classes.length > 5 && <span className="imgcls-muted"> · the five worst</span>}
            </h3>
            <ClassTable report={report} most={5} />
          </section>
        )}
      </Curves>
    </div>
  );
}
