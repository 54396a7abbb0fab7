// The MIME types of outputs that more than one file of this folder knows.
export const RUN_TYPE = 'application/vnd.imgcls.run+json';
export const RUNS_TYPE = 'application/vnd.imgcls.runs+json';
export const KERNEL_TYPE = 'application/vnd.imgcls.kernel+json';
export const WIDGET_TYPE = 'application/vnd.jupyter.widget-view+json';
