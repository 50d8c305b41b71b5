-- References, mixed as in an application that grew: some cascade, most do not. One statement a line.

ALTER TABLE public.tenants ADD FOREIGN KEY (plan) REFERENCES public.plans (code);

ALTER TABLE public.tenant_settings ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id) ON DELETE CASCADE;

ALTER TABLE public.workspaces ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.workspaces ADD FOREIGN KEY (default_agent_id) REFERENCES public.agents (id);

ALTER TABLE public.agents ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.agents ADD FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id);

ALTER TABLE public.workspace_members ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id) ON DELETE CASCADE;
ALTER TABLE public.workspace_members ADD FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id);

ALTER TABLE public.workspace_invitations ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id) ON DELETE CASCADE;
ALTER TABLE public.workspace_invitations ADD FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id) ON DELETE CASCADE;
ALTER TABLE public.workspace_invitations ADD FOREIGN KEY (invited_by_id) REFERENCES public.workspace_members (id);

ALTER TABLE public.sessions ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id) ON DELETE CASCADE;
ALTER TABLE public.sessions ADD FOREIGN KEY (member_id) REFERENCES public.workspace_members (id) ON DELETE CASCADE;

ALTER TABLE public.agent_skills ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id) ON DELETE CASCADE;
ALTER TABLE public.agent_skills ADD FOREIGN KEY (agent_id) REFERENCES public.agents (id) ON DELETE CASCADE;

ALTER TABLE public.agent_capabilities ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id) ON DELETE CASCADE;
ALTER TABLE public.agent_capabilities ADD FOREIGN KEY (agent_id) REFERENCES public.agents (id) ON DELETE CASCADE;

ALTER TABLE public.agent_episodes ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id) ON DELETE CASCADE;
ALTER TABLE public.agent_episodes ADD FOREIGN KEY (agent_id) REFERENCES public.agents (id) ON DELETE CASCADE;

ALTER TABLE public.agent_feedback ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.agent_feedback ADD FOREIGN KEY (agent_id) REFERENCES public.agents (id);
ALTER TABLE public.agent_feedback ADD FOREIGN KEY (episode_id) REFERENCES public.agent_episodes (id);

ALTER TABLE public.agent_usage ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.agent_usage ADD FOREIGN KEY (agent_id) REFERENCES public.agents (id);

ALTER TABLE public.agent_metrics ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.agent_metrics ADD FOREIGN KEY (agent_id) REFERENCES public.agents (id) ON DELETE CASCADE;

ALTER TABLE public.conversations ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.conversations ADD FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id);
ALTER TABLE public.conversations ADD FOREIGN KEY (agent_id) REFERENCES public.agents (id);

ALTER TABLE public.messages ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.messages ADD FOREIGN KEY (conversation_id) REFERENCES public.conversations (id) ON DELETE CASCADE;
ALTER TABLE public.messages ADD FOREIGN KEY (reply_to_id) REFERENCES public.messages (id);

ALTER TABLE public.canvas_audits ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.canvas_audits ADD FOREIGN KEY (agent_id) REFERENCES public.agents (id);

ALTER TABLE public.canvas_snapshots ADD FOREIGN KEY (canvas_audit_id) REFERENCES public.canvas_audits (id);

ALTER TABLE public.canvas_skills ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id) ON DELETE CASCADE;
ALTER TABLE public.canvas_skills ADD FOREIGN KEY (agent_skill_id) REFERENCES public.agent_skills (id);

ALTER TABLE public.integration_connections ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.integration_connections ADD FOREIGN KEY (workspace_id) REFERENCES public.workspaces (id);

ALTER TABLE public.integration_webhooks ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id) ON DELETE CASCADE;
ALTER TABLE public.integration_webhooks ADD FOREIGN KEY (connection_id) REFERENCES public.integration_connections (id) ON DELETE CASCADE;

ALTER TABLE public.integration_credentials ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.integration_credentials ADD FOREIGN KEY (connection_id) REFERENCES public.integration_connections (id) ON DELETE CASCADE;

ALTER TABLE public.marketplace_submissions ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.marketplace_submissions ADD FOREIGN KEY (agent_id) REFERENCES public.agents (id);

ALTER TABLE public.marketplace_reviews ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.marketplace_reviews ADD FOREIGN KEY (submission_id) REFERENCES public.marketplace_submissions (id) ON DELETE CASCADE;

ALTER TABLE public.usage_records ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.usage_records ADD FOREIGN KEY (agent_id) REFERENCES public.agents (id);

ALTER TABLE public.usage_quotas ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id) ON DELETE CASCADE;

ALTER TABLE public.proposals ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.proposals ADD FOREIGN KEY (agent_id) REFERENCES public.agents (id);

ALTER TABLE public.supervisor_assignments ADD FOREIGN KEY (tenant_id) REFERENCES public.tenants (id);
ALTER TABLE public.supervisor_assignments ADD FOREIGN KEY (supervisor_id) REFERENCES public.agents (id);
ALTER TABLE public.supervisor_assignments ADD FOREIGN KEY (agent_id) REFERENCES public.agents (id);
