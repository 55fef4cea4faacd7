/**
 * PM2 lays an application's variables over its own record of the process and exports the whole record to it: a
 * variable called `name` or `watch` would rename or watch the process. So PM2's words cannot be variables. The test
 * compares this list with the fields that the installed PM2 reads.
 */
const pm2Fields = new Set(
  `_km_monitored _pm _pm2_version _tree_pids append_env_to_name args automation autorestart autostart axm_actions
  axm_dynamic axm_monitor axm_options created_at cron_restart cwd deep_monitoring disable_logs
  disable_source_map_support disable_trace env error_file event_loop_inspector exec_interpreter exec_mode
  execute_command exit_code exp_backoff_restart_delay filter_env force gid ignore_watch increment_var install_url
  instance_var instances io kill_retry_time kill_timeout km_link listen_timeout log_date_format log_file log_type
  max_memory_restart max_restarts merge_logs min_uptime name name_prefix namespace node_args node_version out_file
  pid_file pm_cwd pm_err_log_path pm_exec_path pm_id pm_log_path pm_out_log_path pm_pid_path pm_uptime pmx pmx_module
  port post_update prev_restart_delay restart_delay restart_task restart_time script shutdown_with_message
  source_map_support status stop_exit_codes time trace treekill uid unique_id unstable_restarts user username v8
  version versioning vizion vizion_running wait_ready watch watch_delay watch_options windowsHide write
  NODE_APP_INSTANCE PM2_HOME`.split(/\s+/),
);

/** What we give every process ourselves, and by what we know it again. */
const ours = new Set(["AGENT_ID", "AGENT_HARNESS_MARK"]);

/** Why a variable cannot be set by the project config, or undefined where it can. */
export function reservedReason(variable: string): string | undefined {
  if (ours.has(variable)) return "is set by agent-harness itself";
  if (pm2Fields.has(variable) || /^(?:axm|pm)_/.test(variable)) return "is a word of PM2, which runs the processes";
  return undefined;
}
