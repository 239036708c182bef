package integration

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	palette "github.com/seed-804bd3b7/palette-apikeys-go"
	"github.com/seed-804bd3b7/palette-apikeys-go/internal/kube/kubetest"
	"github.com/seed-804bd3b7/palette-apikeys-go/internal/version"
	"github.com/seed-804bd3b7/palette-apikeys-go/palettetest"
	"github.com/seed-804bd3b7/palette-apikeys-go/rotation"
)

// manifests are the objects of docs/kubernetes.md.
type manifests struct {
	deployment     appsv1.Deployment
	serviceAccount corev1.ServiceAccount
	role           rbacv1.Role
	roleBinding    rbacv1.RoleBinding
	cronJob        batchv1.CronJob
	firstKey       batchv1.Job
	alerts         alertRules
	workflow       workflow
}

// alertRules is a file of Prometheus.
type alertRules struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []struct {
			Alert       string            `json:"alert"`
			Expr        string            `json:"expr"`
			For         string            `json:"for"`
			Labels      map[string]string `json:"labels"`
			Annotations map[string]string `json:"annotations"`
		} `json:"rules"`
	} `json:"groups"`
}

// workflow is a workflow of GitHub Actions.
type workflow struct {
	Name string `json:"name"`
	On   struct {
		Schedule []struct {
			Cron string `json:"cron"`
		} `json:"schedule"`
		Dispatch struct{} `json:"workflow_dispatch"`
	} `json:"true"` // "on" is a boolean in YAML 1.1
	Concurrency string            `json:"concurrency"`
	Permissions map[string]string `json:"permissions"`
	Jobs        map[string]struct {
		RunsOn string `json:"runs-on"`
		Steps  []struct {
			Uses string            `json:"uses"`
			With map[string]string `json:"with"`
			Env  map[string]string `json:"env"`
			Run  string            `json:"run"`
		} `json:"steps"`
	} `json:"jobs"`
}

func readPage(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../docs/kubernetes.md")
	require.NoError(t, err)
	return string(text)
}

// blocksOf returns the code blocks of a page with the given language.
func blocksOf(page, language string) []string {
	var blocks []string
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(page, -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}

var kindOf = regexp.MustCompile(`(?m)^(kind: \w+|groups:|jobs:)`)

// readManifests parses all YAML of the page. An unknown field, or one that is given twice,
// is an error.
func readManifests(t *testing.T) *manifests {
	t.Helper()
	var m manifests
	targets := map[string]any{
		"kind: Deployment": &m.deployment, "kind: ServiceAccount": &m.serviceAccount, "kind: Role": &m.role,
		"kind: RoleBinding": &m.roleBinding, "kind: CronJob": &m.cronJob, "kind: Job": &m.firstKey,
		"groups:": &m.alerts, "jobs:": &m.workflow,
	}
	for _, block := range blocksOf(readPage(t), "yaml") {
		for doc := range strings.SplitSeq(block, "\n---\n") {
			kind := kindOf.FindString(doc)
			require.Contains(t, targets, kind, "unknown, or given twice:\n%s", doc)
			require.NoError(t, yaml.UnmarshalStrict([]byte(doc), targets[kind]), kind)
			delete(targets, kind)
		}
	}
	require.Empty(t, targets)
	return &m
}

func TestManifestsFitTogether(t *testing.T) {
	t.Parallel()
	m := readManifests(t)

	cron, pod := m.cronJob.Spec, m.cronJob.Spec.JobTemplate.Spec.Template.Spec
	assert.Equal(t, []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"palette"}, Verbs: []string{"get", "patch"}},
	}, m.role.Rules)
	assert.Equal(t, rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: m.role.Name}, m.roleBinding.RoleRef)
	assert.Equal(t, []rbacv1.Subject{{Kind: "ServiceAccount", Name: m.serviceAccount.Name, Namespace: "apps"}}, m.roleBinding.Subjects)
	assert.Equal(t, m.serviceAccount.Name, pod.ServiceAccountName)
	assert.Contains(t, pod.Containers[0].Args, "-kubernetes-secret="+m.role.Rules[0].ResourceNames[0])
	assert.Equal(t, "palette", pod.Volumes[0].Secret.SecretName)
	assert.Equal(t, "palette", m.deployment.Spec.Template.Spec.Volumes[0].Secret.SecretName)
	assert.Equal(t, batchv1.ForbidConcurrent, cron.ConcurrencyPolicy)
	assert.EqualValues(t, 3600, *cron.StartingDeadlineSeconds)
	assert.EqualValues(t, 2, *cron.JobTemplate.Spec.BackoffLimit)
	assert.EqualValues(t, 900, *cron.JobTemplate.Spec.ActiveDeadlineSeconds)
	assert.Equal(t, corev1.RestartPolicyNever, pod.RestartPolicy, "a new pod mounts the present Secret")
	assert.Equal(t, "ghcr.io/seed-804bd3b7/palette-keys:"+version.Version, pod.Containers[0].Image)
	assert.Equal(t, pod.Containers[0].Image, m.firstKey.Spec.Template.Spec.Containers[0].Image)
	for _, namespace := range []string{
		m.deployment.Namespace, m.serviceAccount.Namespace, m.role.Namespace, m.roleBinding.Namespace, m.cronJob.Namespace, m.firstKey.Namespace,
	} {
		assert.Equal(t, "apps", namespace)
	}
}

// The restricted Pod Security Standard, and a volume that the user of the pod can read.
func TestPodsAreRestricted(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	for name, pod := range map[string]corev1.PodSpec{
		"Deployment": m.deployment.Spec.Template.Spec,
		"CronJob":    m.cronJob.Spec.JobTemplate.Spec.Template.Spec,
		"Job":        m.firstKey.Spec.Template.Spec,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			container := pod.Containers[0]

			assert.True(t, *pod.SecurityContext.RunAsNonRoot)
			assert.NotZero(t, *pod.SecurityContext.RunAsUser)
			assert.Equal(t, corev1.SeccompProfileTypeRuntimeDefault, pod.SecurityContext.SeccompProfile.Type)
			assert.False(t, *container.SecurityContext.AllowPrivilegeEscalation)
			assert.True(t, *container.SecurityContext.ReadOnlyRootFilesystem)
			assert.Equal(t, &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, container.SecurityContext.Capabilities)
			assert.NotNil(t, pod.SecurityContext.FSGroup)
			assert.EqualValues(t, 0o440, *pod.Volumes[0].Secret.DefaultMode)
			assert.Empty(t, container.VolumeMounts[0].SubPath, "a subPath is never updated")
			assert.Equal(t, "/etc/palette", container.VolumeMounts[0].MountPath)
		})
	}
}

// A diagram with a line that Mermaid does not understand is not drawn at all. A semicolon
// would end a line.
func TestLinesOfTheDiagram(t *testing.T) {
	t.Parallel()
	known := regexp.MustCompile(`^(sequenceDiagram|participant \w as [^;#]+|\w--?>>\w: [^;#]+|Note over \w(,\w)?: [^;#]+|rect rgba\([\d., ]+\)|end)$`)

	diagrams := blocksOf(readPage(t), "mermaid")

	require.Len(t, diagrams, 1)
	for line := range strings.Lines(diagrams[0]) {
		assert.Regexp(t, known, strings.TrimSpace(line))
	}
}

func TestAlertsNameTheCronJob(t *testing.T) {
	t.Parallel()
	m := readManifests(t)
	for _, rule := range m.alerts.Groups[0].Rules {
		t.Run(rule.Alert, func(t *testing.T) {
			t.Parallel()

			assert.Contains(t, rule.Expr, `namespace="`+m.cronJob.Namespace+`"`)
			assert.Regexp(t, `(cronjob="|job_name=~")`+m.cronJob.Name, rule.Expr)
			assert.Contains(t, rule.Annotations["summary"], m.cronJob.Name)
		})
	}
}

// buildTool builds palette-keys once. It looks for the service account in the folder
// serviceaccount below its working directory.
var buildTool = sync.OnceValues(func() (string, error) {
	folder, err := os.MkdirTemp("", "palette-keys")
	if err != nil {
		return "", err
	}
	tool := filepath.Join(folder, "palette-keys")
	if runtime.GOOS == "windows" {
		tool += ".exe"
	}
	cmd := exec.Command("go", "build", "-ldflags", "-X main.serviceAccountFolder=serviceaccount", "-o", tool, "./cmd/palette-keys")
	cmd.Dir = ".."
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return tool, nil
})

// cluster is a namespace with a Secret, a mount of it, and a Palette.
type cluster struct {
	server  *kubetest.Server
	palette *palettetest.Server
	folder  string // the working directory of the tool
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{server: kubetest.Start(t), palette: palettetest.Start(t), folder: t.TempDir()}
	require.NoError(t, os.CopyFS(filepath.Join(c.folder, "serviceaccount"), os.DirFS(c.server.Folder)))
	return c
}

// addKey adds the key "billing" that expires at the given time, 21 days after its creation.
func (c *cluster) addKey(expiry time.Time) (value string) {
	_, value = c.palette.AddKey(palettetest.Key{Name: "billing", Active: true, CreatedAt: expiry.AddDate(0, 0, -21), Expiry: expiry})
	return value
}

// mount writes what the mount of the Secret shows.
func (c *cluster) mount(t *testing.T, value string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(c.folder, "apiKey"), []byte(value), 0o600))
}

// run runs the container of a pod.
func (c *cluster) run(t *testing.T, container corev1.Container) (output string, err error) {
	t.Helper()
	tool, err := buildTool()
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), tool, container.Args...)
	cmd.Dir = c.folder
	cmd.Env = []string{"KUBERNETES_SERVICE_HOST=" + c.server.Host, "KUBERNETES_SERVICE_PORT=" + c.server.Port}
	for _, variable := range container.Env {
		switch variable.Name {
		case "PALETTE_HOST":
			require.Equal(t, "api.spectrocloud.com", variable.Value)
			variable.Value = c.palette.URL
		case "PALETTE_API_KEY_FILE":
			require.Equal(t, container.VolumeMounts[0].MountPath+"/apiKey", variable.Value)
			variable.Value = "apiKey"
		}
		cmd.Env = append(cmd.Env, variable.Name+"="+variable.Value)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// requireWorks requires that a key is accepted by Palette.
func (c *cluster) requireWorks(t *testing.T, key string) {
	t.Helper()
	client, err := palette.NewClient(palette.WithBaseURL(c.palette.URL), palette.WithAPIKey(key))
	require.NoError(t, err)
	_, err = client.APIKeys.List(t.Context())
	require.NoError(t, err)
}

func TestCronJobReplacesTheKey(t *testing.T) {
	t.Parallel()
	container := readManifests(t).cronJob.Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	c := newCluster(t)
	old := c.addKey(time.Now().AddDate(0, 0, 13))
	c.server.SetValue(t, "apiKey", old)
	c.mount(t, old)

	first, firstErr := c.run(t, container)
	key := c.server.Value("apiKey")
	second, secondErr := c.run(t, container) // the mount lags behind
	c.mount(t, key)
	third, thirdErr := c.run(t, container)

	require.NoError(t, firstErr, first)
	require.NoError(t, secondErr, second)
	require.NoError(t, thirdErr, third)
	assert.NotEqual(t, old, key)
	assert.Equal(t, key, c.server.Value("apiKey"))
	c.requireWorks(t, key)
	c.requireWorks(t, old)
	keys := c.palette.Keys()
	require.Len(t, keys, 2)
	assert.WithinDuration(t, time.Now().AddDate(0, 0, 8), keys[0].Expiry, time.Hour, "the overlap")
	assert.WithinDuration(t, time.Now().AddDate(0, 0, 21), keys[1].Expiry, time.Hour)
}

func TestCronJobDoesNothingInBetween(t *testing.T) {
	t.Parallel()
	container := readManifests(t).cronJob.Spec.JobTemplate.Spec.Template.Spec.Containers[0]
	c := newCluster(t)
	key := c.addKey(time.Now().AddDate(0, 0, 15))
	c.server.SetValue(t, "apiKey", key)
	c.mount(t, key)

	output, err := c.run(t, container)

	require.NoError(t, err, output)
	assert.Contains(t, output, "not due: the key ", "as the page says")
	assert.Equal(t, key, c.server.Value("apiKey"))
	assert.Len(t, c.palette.Keys(), 1)
}

func TestJobCreatesTheFirstKey(t *testing.T) {
	t.Parallel()
	container := readManifests(t).firstKey.Spec.Template.Spec.Containers[0]
	c := newCluster(t)
	c.mount(t, c.palette.APIKey)

	first, firstErr := c.run(t, container)
	key := c.server.Value("apiKey")
	second, secondErr := c.run(t, container)

	require.NoError(t, firstErr, first)
	require.Error(t, secondErr, second)
	assert.NotContains(t, first+second, key)
	assert.Equal(t, key, c.server.Value("apiKey"))
	c.requireWorks(t, key)
	assert.Len(t, c.palette.Keys(), 1)
}

// The Go blocks of the page are the code of secretstore_test.go.
func TestGoBlocksOfThePageAreTested(t *testing.T) {
	t.Parallel()
	file, err := os.ReadFile("secretstore_test.go")
	require.NoError(t, err)
	code := strings.Replace(string(file), "package integration\n", "package billing\n", 1)
	code, snippet, found := strings.Cut(code, "\nfunc listWithMountedKey(ctx context.Context) error {\n")
	require.True(t, found)
	snippet = strings.ReplaceAll(strings.TrimSuffix(snippet, "}\n"), "\n\t", "\n")

	assert.Equal(t, []string{strings.TrimPrefix(snippet, "\t"), code}, blocksOf(readPage(t), "go"))
}

func TestProgramOfThePageReadsTheMountedFile(t *testing.T) {
	t.Parallel()

	err := listWithMountedKey(t.Context())

	require.ErrorContains(t, err, "/etc/palette/apiKey", "no such file here")
}

// newSecretStore returns the store of the page, with client-go's own client.
func (c *cluster) newSecretStore(t *testing.T) *secretStore {
	t.Helper()
	clientset, err := kubernetes.NewForConfig(&rest.Config{
		Host:            "https://" + c.server.Host + ":" + c.server.Port,
		BearerTokenFile: filepath.Join(c.server.Folder, "token"),
		TLSClientConfig: rest.TLSClientConfig{CAFile: filepath.Join(c.server.Folder, "ca.crt")},
	})
	require.NoError(t, err)
	return &secretStore{secrets: clientset.CoreV1().Secrets("apps"), name: "palette"}
}

func TestRotationWithTheStoreOfThePage(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	old := c.addKey(time.Now().AddDate(0, 0, 1))
	c.server.SetValue(t, "apiKey", old)
	client, err := palette.NewClient(palette.WithBaseURL(c.palette.URL), palette.WithAPIKey(old))
	require.NoError(t, err)

	result, err := rotation.Rotate(t.Context(), client, rotation.Key{Name: "billing"}, c.newSecretStore(t), rotation.Policy{Overlap: time.Hour})

	require.NoError(t, err)
	assert.True(t, result.Rotated)
	assert.NotEqual(t, old, c.server.Value("apiKey"))
	c.requireWorks(t, c.server.Value("apiKey"))
	c.requireWorks(t, old)
}

func TestStoreOfThePageFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		prepare func(*testing.T, *cluster)
		want    string
	}{
		"if the Secret does not exist": {func(_ *testing.T, c *cluster) { c.server.Delete() }, "not found"},
		"if the Secret is immutable":   {func(t *testing.T, c *cluster) { t.Helper(); c.server.Apply(t, `{"immutable":true}`) }, "patch the Secret palette: Invalid"},
		"without the right to get":     {func(_ *testing.T, c *cluster) { c.server.SetRights("patch") }, "cannot get"},
		"without the right to patch":   {func(_ *testing.T, c *cluster) { c.server.SetRights("get") }, "patch the Secret palette: Forbidden"},
		"if somebody changed it meanwhile": {func(t *testing.T, c *cluster) {
			t.Helper()
			c.server.SetFault(func(w http.ResponseWriter, r *http.Request, handle http.HandlerFunc) {
				if r.Method == http.MethodPatch {
					c.server.SetValue(t, "apiKey", "another-key")
				}
				handle(w, r)
			})
		}, "patch the Secret palette: Conflict"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			c.server.SetValue(t, "apiKey", "first-key")
			tt.prepare(t, c)

			_, err := c.newSecretStore(t).Load(t.Context())

			require.ErrorContains(t, err, tt.want)
			assert.NotContains(t, err.Error(), "first-key")
			assert.NotContains(t, err.Error(), "Zmlyc3Qta2V5", "its base64")
		})
	}
}
