-- Primary keys, unique keys and an index on every referencing column. One statement a line.

ALTER TABLE public.schema_migrations ADD PRIMARY KEY (version);

ALTER TABLE public.plans ADD PRIMARY KEY (code);

ALTER TABLE public.tenants ADD PRIMARY KEY (id);
ALTER TABLE public.tenants ADD UNIQUE (subdomain);
CREATE INDEX tenants_plan_idx ON public.tenants (plan);

ALTER TABLE public.tenant_settings ADD PRIMARY KEY (tenant_id);

ALTER TABLE public.workspaces ADD PRIMARY KEY (id);
CREATE INDEX workspaces_tenant_id_idx ON public.workspaces (tenant_id);
CREATE INDEX workspaces_default_agent_id_idx ON public.workspaces (default_agent_id);

ALTER TABLE public.agents ADD PRIMARY KEY (id);
CREATE INDEX agents_tenant_id_idx ON public.agents (tenant_id);
CREATE INDEX agents_workspace_id_idx ON public.agents (workspace_id);

ALTER TABLE public.workspace_members ADD PRIMARY KEY (id);
ALTER TABLE public.workspace_members ADD UNIQUE (workspace_id, email);
CREATE INDEX workspace_members_tenant_id_idx ON public.workspace_members (tenant_id);

ALTER TABLE public.workspace_invitations ADD PRIMARY KEY (id);
CREATE INDEX workspace_invitations_tenant_id_idx ON public.workspace_invitations (tenant_id);
CREATE INDEX workspace_invitations_workspace_id_idx ON public.workspace_invitations (workspace_id);
CREATE INDEX workspace_invitations_invited_by_id_idx ON public.workspace_invitations (invited_by_id);

ALTER TABLE public.sessions ADD PRIMARY KEY (id);
CREATE INDEX sessions_tenant_id_idx ON public.sessions (tenant_id);
CREATE INDEX sessions_member_id_idx ON public.sessions (member_id);

ALTER TABLE public.agent_skills ADD PRIMARY KEY (id);
CREATE INDEX agent_skills_tenant_id_idx ON public.agent_skills (tenant_id);
CREATE INDEX agent_skills_agent_id_idx ON public.agent_skills (agent_id);

ALTER TABLE public.agent_capabilities ADD PRIMARY KEY (id);
CREATE INDEX agent_capabilities_tenant_id_idx ON public.agent_capabilities (tenant_id);
CREATE INDEX agent_capabilities_agent_id_idx ON public.agent_capabilities (agent_id);

ALTER TABLE public.agent_episodes ADD PRIMARY KEY (id);
CREATE INDEX agent_episodes_tenant_id_idx ON public.agent_episodes (tenant_id);
CREATE INDEX agent_episodes_agent_id_idx ON public.agent_episodes (agent_id);

ALTER TABLE public.agent_feedback ADD PRIMARY KEY (id);
CREATE INDEX agent_feedback_tenant_id_idx ON public.agent_feedback (tenant_id);
CREATE INDEX agent_feedback_agent_id_idx ON public.agent_feedback (agent_id);
CREATE INDEX agent_feedback_episode_id_idx ON public.agent_feedback (episode_id);

ALTER TABLE public.agent_usage ADD PRIMARY KEY (id);
CREATE INDEX agent_usage_tenant_id_idx ON public.agent_usage (tenant_id);
CREATE INDEX agent_usage_agent_id_idx ON public.agent_usage (agent_id);

ALTER TABLE public.agent_metrics ADD PRIMARY KEY (id);
CREATE INDEX agent_metrics_tenant_id_idx ON public.agent_metrics (tenant_id);
CREATE INDEX agent_metrics_agent_id_idx ON public.agent_metrics (agent_id);

ALTER TABLE public.conversations ADD PRIMARY KEY (id);
CREATE INDEX conversations_tenant_id_idx ON public.conversations (tenant_id);
CREATE INDEX conversations_workspace_id_idx ON public.conversations (workspace_id);
CREATE INDEX conversations_agent_id_idx ON public.conversations (agent_id);

ALTER TABLE public.messages ADD PRIMARY KEY (id);
CREATE INDEX messages_tenant_id_idx ON public.messages (tenant_id);
CREATE INDEX messages_conversation_id_idx ON public.messages (conversation_id);
CREATE INDEX messages_reply_to_id_idx ON public.messages (reply_to_id);

ALTER TABLE public.canvas_audits ADD PRIMARY KEY (id);
CREATE INDEX canvas_audits_tenant_id_idx ON public.canvas_audits (tenant_id);
CREATE INDEX canvas_audits_agent_id_idx ON public.canvas_audits (agent_id);

ALTER TABLE public.canvas_snapshots ADD PRIMARY KEY (id);
CREATE INDEX canvas_snapshots_canvas_audit_id_idx ON public.canvas_snapshots (canvas_audit_id);

ALTER TABLE public.canvas_skills ADD PRIMARY KEY (id);
CREATE INDEX canvas_skills_tenant_id_idx ON public.canvas_skills (tenant_id);
CREATE INDEX canvas_skills_agent_skill_id_idx ON public.canvas_skills (agent_skill_id);

ALTER TABLE public.integration_connections ADD PRIMARY KEY (id);
CREATE INDEX integration_connections_tenant_id_idx ON public.integration_connections (tenant_id);
CREATE INDEX integration_connections_workspace_id_idx ON public.integration_connections (workspace_id);

ALTER TABLE public.integration_webhooks ADD PRIMARY KEY (id);
CREATE INDEX integration_webhooks_tenant_id_idx ON public.integration_webhooks (tenant_id);
CREATE INDEX integration_webhooks_connection_id_idx ON public.integration_webhooks (connection_id);

ALTER TABLE public.integration_credentials ADD PRIMARY KEY (id);
CREATE INDEX integration_credentials_tenant_id_idx ON public.integration_credentials (tenant_id);
CREATE INDEX integration_credentials_connection_id_idx ON public.integration_credentials (connection_id);

ALTER TABLE public.marketplace_submissions ADD PRIMARY KEY (id);
CREATE INDEX marketplace_submissions_tenant_id_idx ON public.marketplace_submissions (tenant_id);
CREATE INDEX marketplace_submissions_agent_id_idx ON public.marketplace_submissions (agent_id);

ALTER TABLE public.marketplace_reviews ADD PRIMARY KEY (id);
CREATE INDEX marketplace_reviews_tenant_id_idx ON public.marketplace_reviews (tenant_id);
CREATE INDEX marketplace_reviews_submission_id_idx ON public.marketplace_reviews (submission_id);

ALTER TABLE public.usage_records ADD PRIMARY KEY (id);
CREATE INDEX usage_records_tenant_id_idx ON public.usage_records (tenant_id);
CREATE INDEX usage_records_agent_id_idx ON public.usage_records (agent_id);

ALTER TABLE public.usage_quotas ADD PRIMARY KEY (id);
ALTER TABLE public.usage_quotas ADD UNIQUE (tenant_id, kind);

ALTER TABLE public.proposals ADD PRIMARY KEY (id);
CREATE INDEX proposals_tenant_id_idx ON public.proposals (tenant_id);
CREATE INDEX proposals_agent_id_idx ON public.proposals (agent_id);

ALTER TABLE public.supervisor_assignments ADD PRIMARY KEY (id);
CREATE INDEX supervisor_assignments_tenant_id_idx ON public.supervisor_assignments (tenant_id);
CREATE INDEX supervisor_assignments_supervisor_id_idx ON public.supervisor_assignments (supervisor_id);
CREATE INDEX supervisor_assignments_agent_id_idx ON public.supervisor_assignments (agent_id);
